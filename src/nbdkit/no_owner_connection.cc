#include "nbdkit/owner_connection.h"

namespace vnvram::nbdkit {

Result<std::unique_ptr<BlobClient>> connect_to_owner(const std::string& address,
                                                     std::chrono::milliseconds /*reconnect*/) {
  return Error(ErrorKind::unsupported, address + ": the image of another process",
               "nbdkit vnvram-owner " + address + " serves it");
}

} // namespace vnvram::nbdkit
