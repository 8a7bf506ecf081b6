#include "device/rbd_library.h"

#include <dlfcn.h>

#include <string>

namespace vnvram {
namespace {

// The name that its packages promise not to change while programs built today work with it. It
// brings librados along, whose functions are found through it.
constexpr const char* librbd_file_name = "librbd.so.1";

template <typename Function>
bool find_in_librbd(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

Error librbd_missing() {
  const char* reason = ::dlerror(); // NOLINT(concurrency-mt-unsafe): glibc's is one per thread.
  return {ErrorKind::unsupported,
          std::string("RBD needs ") + librbd_file_name + ": " +
              (reason == nullptr ? "unusable" : reason),
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
  void* library = ::dlopen(librbd_file_name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    return librbd_missing();
  }
  RbdLibrary found;
  const bool complete =
      find_in_librbd(library, "rados_create", found.rados_create) &&
      find_in_librbd(library, "rados_conf_read_file", found.rados_conf_read_file) &&
      find_in_librbd(library, "rados_conf_parse_env", found.rados_conf_parse_env) &&
      find_in_librbd(library, "rados_conf_set", found.rados_conf_set) &&
      find_in_librbd(library, "rados_connect", found.rados_connect) &&
      find_in_librbd(library, "rados_shutdown", found.rados_shutdown) &&
      find_in_librbd(library, "rados_getaddrs", found.rados_getaddrs) &&
      find_in_librbd(library, "rados_buffer_free", found.rados_buffer_free) &&
      find_in_librbd(library, "rados_blocklist_add", found.rados_blocklist_add) &&
      find_in_librbd(library, "rados_wait_for_latest_osdmap", found.rados_wait_for_latest_osdmap) &&
      find_in_librbd(library, "rados_get_instance_id", found.rados_get_instance_id) &&
      find_in_librbd(library, "rados_ioctx_create", found.rados_ioctx_create) &&
      find_in_librbd(library, "rados_ioctx_destroy", found.rados_ioctx_destroy) &&
      find_in_librbd(library, "rados_ioctx_set_namespace", found.rados_ioctx_set_namespace) &&
      find_in_librbd(library, "rbd_namespace_exists", found.rbd_namespace_exists) &&
      find_in_librbd(library, "rbd_image_options_create", found.rbd_image_options_create) &&
      find_in_librbd(library, "rbd_image_options_destroy", found.rbd_image_options_destroy) &&
      find_in_librbd(library, "rbd_image_options_set_uint64", found.rbd_image_options_set_uint64) &&
      find_in_librbd(library, "rbd_create4", found.rbd_create4) &&
      find_in_librbd(library, "rbd_list2", found.rbd_list2) &&
      find_in_librbd(library, "rbd_image_spec_list_cleanup", found.rbd_image_spec_list_cleanup) &&
      find_in_librbd(library, "rbd_rename", found.rbd_rename) &&
      find_in_librbd(library, "rbd_remove", found.rbd_remove) &&
      find_in_librbd(library, "rbd_open", found.rbd_open) &&
      find_in_librbd(library, "rbd_open_read_only", found.rbd_open_read_only) &&
      find_in_librbd(library, "rbd_close", found.rbd_close) &&
      find_in_librbd(library, "rbd_get_size", found.rbd_get_size) &&
      find_in_librbd(library, "rbd_get_features", found.rbd_get_features) &&
      find_in_librbd(library, "rbd_config_image_list", found.rbd_config_image_list) &&
      find_in_librbd(library, "rbd_config_image_list_cleanup",
                     found.rbd_config_image_list_cleanup) &&
      find_in_librbd(library, "rbd_is_exclusive_lock_owner", found.rbd_is_exclusive_lock_owner) &&
      find_in_librbd(library, "rbd_lock_acquire", found.rbd_lock_acquire) &&
      find_in_librbd(library, "rbd_lock_release", found.rbd_lock_release) &&
      find_in_librbd(library, "rbd_lock_get_owners", found.rbd_lock_get_owners) &&
      find_in_librbd(library, "rbd_lock_get_owners_cleanup", found.rbd_lock_get_owners_cleanup) &&
      find_in_librbd(library, "rbd_list_lockers", found.rbd_list_lockers) &&
      find_in_librbd(library, "rbd_watchers_list", found.rbd_watchers_list) &&
      find_in_librbd(library, "rbd_watchers_list_cleanup", found.rbd_watchers_list_cleanup) &&
      find_in_librbd(library, "rbd_stat", found.rbd_stat) &&
      find_in_librbd(library, "rbd_read", found.rbd_read) &&
      find_in_librbd(library, "rbd_resize2", found.rbd_resize2) &&
      find_in_librbd(library, "rbd_aio_create_completion", found.rbd_aio_create_completion) &&
      find_in_librbd(library, "rbd_aio_get_return_value", found.rbd_aio_get_return_value) &&
      find_in_librbd(library, "rbd_aio_release", found.rbd_aio_release) &&
      find_in_librbd(library, "rbd_aio_read", found.rbd_aio_read) &&
      find_in_librbd(library, "rbd_aio_write", found.rbd_aio_write) &&
      find_in_librbd(library, "rbd_aio_flush", found.rbd_aio_flush);
  if (!complete) {
    return librbd_missing();
  }
  return found;
}

} // namespace vnvram
