// librbd and librados, loaded when the first RBD image is opened.
//
// They bring a runtime of their own along, with threads, and most processes never talk to a Ceph
// cluster (docs/decisions.md has the figures).
#pragma once

#include <rados/librados.h>
#include <rbd/librbd.h>

#include "vnvram/result.h"

namespace vnvram {

/// Their functions, under their own names. They stay loaded as long as the process lives.
class RbdLibrary {
public:
  /// From any thread. Error: unsupported, when librbd is not installed. A process that gives up
  /// opening files must have called it before.
  static Result<const RbdLibrary*> load();

  decltype(&::rados_create) rados_create = nullptr;
  decltype(&::rados_conf_read_file) rados_conf_read_file = nullptr;
  decltype(&::rados_conf_parse_env) rados_conf_parse_env = nullptr;
  decltype(&::rados_conf_set) rados_conf_set = nullptr;
  decltype(&::rados_connect) rados_connect = nullptr;
  decltype(&::rados_shutdown) rados_shutdown = nullptr;
  decltype(&::rados_getaddrs) rados_getaddrs = nullptr;
  decltype(&::rados_buffer_free) rados_buffer_free = nullptr;
  decltype(&::rados_blocklist_add) rados_blocklist_add = nullptr;
  decltype(&::rados_wait_for_latest_osdmap) rados_wait_for_latest_osdmap = nullptr;
  decltype(&::rados_get_instance_id) rados_get_instance_id = nullptr;
  decltype(&::rados_ioctx_create) rados_ioctx_create = nullptr;
  decltype(&::rados_ioctx_destroy) rados_ioctx_destroy = nullptr;
  decltype(&::rados_ioctx_set_namespace) rados_ioctx_set_namespace = nullptr;
  decltype(&::rbd_namespace_exists) rbd_namespace_exists = nullptr;
  decltype(&::rbd_image_options_create) rbd_image_options_create = nullptr;
  decltype(&::rbd_image_options_destroy) rbd_image_options_destroy = nullptr;
  decltype(&::rbd_image_options_set_uint64) rbd_image_options_set_uint64 = nullptr;
  decltype(&::rbd_create4) rbd_create4 = nullptr;
  decltype(&::rbd_list2) rbd_list2 = nullptr;
  decltype(&::rbd_image_spec_list_cleanup) rbd_image_spec_list_cleanup = nullptr;
  decltype(&::rbd_rename) rbd_rename = nullptr;
  decltype(&::rbd_remove) rbd_remove = nullptr;
  decltype(&::rbd_open) rbd_open = nullptr;
  decltype(&::rbd_open_read_only) rbd_open_read_only = nullptr;
  decltype(&::rbd_close) rbd_close = nullptr;
  decltype(&::rbd_get_size) rbd_get_size = nullptr;
  decltype(&::rbd_get_features) rbd_get_features = nullptr;
  decltype(&::rbd_config_image_list) rbd_config_image_list = nullptr;
  decltype(&::rbd_config_image_list_cleanup) rbd_config_image_list_cleanup = nullptr;
  decltype(&::rbd_is_exclusive_lock_owner) rbd_is_exclusive_lock_owner = nullptr;
  decltype(&::rbd_lock_acquire) rbd_lock_acquire = nullptr;
  decltype(&::rbd_lock_release) rbd_lock_release = nullptr;
  decltype(&::rbd_lock_get_owners) rbd_lock_get_owners = nullptr;
  decltype(&::rbd_lock_get_owners_cleanup) rbd_lock_get_owners_cleanup = nullptr;
  decltype(&::rbd_list_lockers) rbd_list_lockers = nullptr;
  decltype(&::rbd_watchers_list) rbd_watchers_list = nullptr;
  decltype(&::rbd_watchers_list_cleanup) rbd_watchers_list_cleanup = nullptr;
  decltype(&::rbd_stat) rbd_stat = nullptr;
  decltype(&::rbd_read) rbd_read = nullptr;
  decltype(&::rbd_resize2) rbd_resize2 = nullptr;
  decltype(&::rbd_aio_create_completion) rbd_aio_create_completion = nullptr;
  decltype(&::rbd_aio_get_return_value) rbd_aio_get_return_value = nullptr;
  decltype(&::rbd_aio_release) rbd_aio_release = nullptr;
  decltype(&::rbd_aio_read) rbd_aio_read = nullptr;
  decltype(&::rbd_aio_write) rbd_aio_write = nullptr;
  decltype(&::rbd_aio_flush) rbd_aio_flush = nullptr;

private:
  RbdLibrary() = default;
  static Result<RbdLibrary> find_all();
};

} // namespace vnvram
