// Where a device of the machine is served, as `vnvram serve` is told: ADDRESS[,WORD]...
#pragma once

#include <string>
#include <vector>

#include "service/socket_address.h"
#include "vnvram/result.h"

namespace vnvram::cli {

struct DeviceSocket {
  SocketAddress address;
  std::vector<std::string> words; ///< Behind the address.

  /// A unix socket, or one that is there (fd:). `option` is for messages. Errors: invalid_argument.
  static Result<DeviceSocket> parse(const std::string& option, const std::string& text);
};

} // namespace vnvram::cli
