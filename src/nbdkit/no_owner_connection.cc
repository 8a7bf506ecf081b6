#include "nbdkit/owner_connection.h"

namespace vnvram::nbdkit {

Result<std::unique_ptr<BlobClient>> connect_to_owner(const std::string& address,
                                                     std::chrono::milliseconds /*reconnect*/) {
  return Error(ErrorKind::unsupported, address + ": the image of another process",
               "nbdkit vnvram-owner " + address + " serves it");
}

bool is_started_again(const std::string& /*address*/) {
  return false;
}

Status give_up_rights(const std::string& address, Seccomp /*mode*/) {
  return Error(ErrorKind::unsupported, address + ": an image of one's own has no such filter");
}

} // namespace vnvram::nbdkit
