#include "cli/device_socket.h"

#include <utility>

namespace vnvram::cli {

Result<DeviceSocket> DeviceSocket::parse(const std::string& option, const std::string& text) {
  std::vector<std::string> words;
  std::size_t begin = 0;
  for (std::size_t end = 0; end != std::string::npos; begin = end + 1) {
    end = text.find(',', begin);
    words.push_back(text.substr(begin, end == std::string::npos ? end : end - begin));
  }
  Result<SocketAddress> address = parse_socket_address(words.front());
  if (!address) {
    return address.error();
  }
  if (address->kind == SocketAddress::Kind::tcp) {
    return Error(ErrorKind::invalid_argument, option + " takes a unix socket",
                 "write unix:PATH, or fd:N for one that is open");
  }
  words.erase(words.begin());
  return DeviceSocket{.address = *std::move(address), .words = std::move(words)};
}

} // namespace vnvram::cli
