#include "device/nbd_library.h"

#include <dlfcn.h>

#include <string>

namespace vnvram {
namespace {

// The name that its packages promise not to change while programs built today work with it.
constexpr const char* file_name = "libnbd.so.0";

template <typename Function> bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

Error missing() {
  const char* reason = ::dlerror(); // NOLINT(concurrency-mt-unsafe): glibc's is one per thread.
  return {ErrorKind::unsupported,
          std::string("NBD needs ") + file_name + ": " + (reason == nullptr ? "unusable" : reason),
          "install libnbd (Debian: libnbd0)"};
}

} // namespace

Result<const NbdLibrary*> NbdLibrary::load() {
  static const Result<NbdLibrary> loaded = find_all();
  if (!loaded) {
    return loaded.error();
  }
  return &loaded.value();
}

Result<NbdLibrary> NbdLibrary::find_all() {
  void* library = ::dlopen(file_name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    return missing();
  }
  NbdLibrary found;
  const bool complete =
      find(library, "nbd_create", found.create) && find(library, "nbd_close", found.close) &&
      find(library, "nbd_get_error", found.get_error) &&
      find(library, "nbd_get_errno", found.get_errno) &&
      find(library, "nbd_set_export_name", found.set_export_name) &&
      find(library, "nbd_add_meta_context", found.add_meta_context) &&
      find(library, "nbd_can_meta_context", found.can_meta_context) &&
      find(library, "nbd_set_uri_allow_transports", found.set_uri_allow_transports) &&
      find(library, "nbd_set_uri_allow_local_file", found.set_uri_allow_local_file) &&
      find(library, "nbd_aio_connect_uri", found.aio_connect_uri) &&
      find(library, "nbd_aio_connect_unix", found.aio_connect_unix) &&
      find(library, "nbd_aio_connect_socket", found.aio_connect_socket) &&
      find(library, "nbd_aio_disconnect", found.aio_disconnect) &&
      find(library, "nbd_is_read_only", found.is_read_only) &&
      find(library, "nbd_can_flush", found.can_flush) &&
      find(library, "nbd_can_fua", found.can_fua) &&
      find(library, "nbd_get_size", found.get_size) &&
      find(library, "nbd_get_block_size", found.get_block_size) &&
      find(library, "nbd_aio_pread", found.aio_pread) &&
      find(library, "nbd_aio_pwrite", found.aio_pwrite) &&
      find(library, "nbd_aio_flush", found.aio_flush) &&
      find(library, "nbd_aio_block_status", found.aio_block_status) &&
      find(library, "nbd_aio_get_fd", found.aio_get_fd) &&
      find(library, "nbd_aio_get_direction", found.aio_get_direction) &&
      find(library, "nbd_aio_notify_read", found.aio_notify_read) &&
      find(library, "nbd_aio_notify_write", found.aio_notify_write) &&
      find(library, "nbd_aio_is_created", found.aio_is_created) &&
      find(library, "nbd_aio_is_connecting", found.aio_is_connecting) &&
      find(library, "nbd_aio_is_dead", found.aio_is_dead) &&
      find(library, "nbd_aio_is_closed", found.aio_is_closed) &&
      find(library, "nbd_aio_command_completed", found.aio_command_completed);
  if (!complete) {
    return missing();
  }
  return found;
}

} // namespace vnvram
