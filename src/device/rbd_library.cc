#include "device/rbd_library.h"

#include <dlfcn.h>

#include <string>

namespace vnvram {
namespace {

// The name that its packages promise not to change while programs built today work with it. It
// brings librados along, whose functions are found through it.
constexpr const char* file_name = "librbd.so.1";

template <typename Function> bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

Error missing() {
  const char* reason = ::dlerror(); // NOLINT(concurrency-mt-unsafe): glibc's is one per thread.
  return {ErrorKind::unsupported,
          std::string("RBD needs ") + file_name + ": " + (reason == nullptr ? "unusable" : reason),
          "install librbd (Debian: librbd1), of Ceph 16 or newer"};
}

} // namespace

Result<const RbdLibrary*> RbdLibrary::load() {
  static const Result<RbdLibrary> loaded = find_all();
  if (!loaded) {
    return loaded.error();
  }
  return &loaded.value();
}

Result<RbdLibrary> RbdLibrary::find_all() {
  void* library = ::dlopen(file_name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    return missing();
  }
  RbdLibrary found;
  const bool complete =
      find(library, "rados_create", found.rados_create) &&
      find(library, "rados_conf_read_file", found.rados_conf_read_file) &&
      find(library, "rados_conf_parse_env", found.rados_conf_parse_env) &&
      find(library, "rados_conf_set", found.rados_conf_set) &&
      find(library, "rados_connect", found.rados_connect) &&
      find(library, "rados_shutdown", found.rados_shutdown) &&
      find(library, "rados_getaddrs", found.rados_getaddrs) &&
      find(library, "rados_buffer_free", found.rados_buffer_free) &&
      find(library, "rados_blocklist_add", found.rados_blocklist_add) &&
      find(library, "rados_wait_for_latest_osdmap", found.rados_wait_for_latest_osdmap) &&
      find(library, "rados_get_instance_id", found.rados_get_instance_id) &&
      find(library, "rados_ioctx_create", found.rados_ioctx_create) &&
      find(library, "rados_ioctx_destroy", found.rados_ioctx_destroy) &&
      find(library, "rados_ioctx_set_namespace", found.rados_ioctx_set_namespace) &&
      find(library, "rbd_namespace_exists", found.rbd_namespace_exists) &&
      find(library, "rbd_image_options_create", found.rbd_image_options_create) &&
      find(library, "rbd_image_options_destroy", found.rbd_image_options_destroy) &&
      find(library, "rbd_image_options_set_uint64", found.rbd_image_options_set_uint64) &&
      find(library, "rbd_create4", found.rbd_create4) &&
      find(library, "rbd_rename", found.rbd_rename) &&
      find(library, "rbd_remove", found.rbd_remove) && find(library, "rbd_open", found.rbd_open) &&
      find(library, "rbd_open_read_only", found.rbd_open_read_only) &&
      find(library, "rbd_close", found.rbd_close) &&
      find(library, "rbd_get_size", found.rbd_get_size) &&
      find(library, "rbd_get_features", found.rbd_get_features) &&
      find(library, "rbd_config_image_list", found.rbd_config_image_list) &&
      find(library, "rbd_config_image_list_cleanup", found.rbd_config_image_list_cleanup) &&
      find(library, "rbd_lock_acquire", found.rbd_lock_acquire) &&
      find(library, "rbd_lock_release", found.rbd_lock_release) &&
      find(library, "rbd_list_lockers", found.rbd_list_lockers) &&
      find(library, "rbd_watchers_list", found.rbd_watchers_list) &&
      find(library, "rbd_watchers_list_cleanup", found.rbd_watchers_list_cleanup) &&
      find(library, "rbd_stat", found.rbd_stat) && find(library, "rbd_read", found.rbd_read) &&
      find(library, "rbd_resize2", found.rbd_resize2) &&
      find(library, "rbd_aio_create_completion", found.rbd_aio_create_completion) &&
      find(library, "rbd_aio_get_return_value", found.rbd_aio_get_return_value) &&
      find(library, "rbd_aio_release", found.rbd_aio_release) &&
      find(library, "rbd_aio_read", found.rbd_aio_read) &&
      find(library, "rbd_aio_write", found.rbd_aio_write) &&
      find(library, "rbd_aio_flush", found.rbd_aio_flush);
  if (!complete) {
    return missing();
  }
  return found;
}

} // namespace vnvram
