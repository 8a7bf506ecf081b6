// libnbd, loaded when the first NBD device is opened.
//
// It brings TLS, XML and Unicode libraries along, which cost a process memory even when it never
// talks to an NBD server: most do not (docs/decisions.md has the figures).
#pragma once

#include <libnbd.h>

#include "vnvram/result.h"

namespace vnvram {

/// Its functions, under their names without "nbd_". They stay loaded as long as the process lives:
/// what libgnutls sets up does not survive being unloaded.
class NbdLibrary {
public:
  /// From any thread. Error: unsupported, when libnbd is not installed. A process that gives up
  /// opening files must have called it before.
  static Result<const NbdLibrary*> load();

  decltype(&::nbd_create) create = nullptr;
  decltype(&::nbd_close) close = nullptr;
  decltype(&::nbd_get_error) get_error = nullptr;
  decltype(&::nbd_get_errno) get_errno = nullptr;
  decltype(&::nbd_set_export_name) set_export_name = nullptr;
  decltype(&::nbd_add_meta_context) add_meta_context = nullptr;
  decltype(&::nbd_can_meta_context) can_meta_context = nullptr;
  decltype(&::nbd_set_uri_allow_transports) set_uri_allow_transports = nullptr;
  decltype(&::nbd_set_uri_allow_local_file) set_uri_allow_local_file = nullptr;
  decltype(&::nbd_aio_connect_uri) aio_connect_uri = nullptr;
  decltype(&::nbd_aio_connect_unix) aio_connect_unix = nullptr;
  decltype(&::nbd_aio_connect_socket) aio_connect_socket = nullptr;
  decltype(&::nbd_aio_disconnect) aio_disconnect = nullptr;
  decltype(&::nbd_is_read_only) is_read_only = nullptr;
  decltype(&::nbd_can_flush) can_flush = nullptr;
  decltype(&::nbd_can_fua) can_fua = nullptr;
  decltype(&::nbd_get_size) get_size = nullptr;
  decltype(&::nbd_get_block_size) get_block_size = nullptr;
  decltype(&::nbd_aio_pread) aio_pread = nullptr;
  decltype(&::nbd_aio_pwrite) aio_pwrite = nullptr;
  decltype(&::nbd_aio_flush) aio_flush = nullptr;
  decltype(&::nbd_aio_block_status) aio_block_status = nullptr;
  decltype(&::nbd_aio_get_fd) aio_get_fd = nullptr;
  decltype(&::nbd_aio_get_direction) aio_get_direction = nullptr;
  decltype(&::nbd_aio_notify_read) aio_notify_read = nullptr;
  decltype(&::nbd_aio_notify_write) aio_notify_write = nullptr;
  decltype(&::nbd_aio_is_created) aio_is_created = nullptr;
  decltype(&::nbd_aio_is_connecting) aio_is_connecting = nullptr;
  decltype(&::nbd_aio_is_dead) aio_is_dead = nullptr;
  decltype(&::nbd_aio_is_closed) aio_is_closed = nullptr;
  decltype(&::nbd_aio_command_completed) aio_command_completed = nullptr;

private:
  NbdLibrary() = default;
  static Result<NbdLibrary> find_all();
};

} // namespace vnvram
