#include "rpc/owner_address.h"

#include <poll.h>

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "base/descriptor_passing.h"
#include "rpc/socket_connection.h"

namespace vnvram {
namespace {

constexpr std::string_view socket_beginning = "unix:";
constexpr std::string_view descriptor_beginning = "fd:";

Result<UniqueFd> take_connection(int channel, const std::string& address,
                                 std::chrono::milliseconds wait_max) {
  pollfd entry{.fd = channel, .events = POLLIN, .revents = 0};
  (void)::poll(&entry, 1, static_cast<int>(wait_max.count()));
  Result<std::optional<PassedDescriptor>> passed = take_descriptor(channel);
  if (!passed) {
    return Error(passed.error().kind(), address + ": " + passed.error().cause());
  }
  if (!*passed) {
    return Error(ErrorKind::io, address + ": no connection to the image's owner has come");
  }
  return std::move((*passed)->descriptor);
}

} // namespace

Result<UniqueFd> connect_to_owner(const std::string& address, std::chrono::milliseconds wait_max) {
  const std::string_view text = address;
  if (text.starts_with(socket_beginning)) {
    return connect_to_socket(address.substr(socket_beginning.size()),
                             "is that the control socket of an owner that runs?");
  }
  int channel = -1;
  if (text.starts_with(descriptor_beginning)) {
    const std::string_view number = text.substr(descriptor_beginning.size());
    const auto parsed = std::from_chars(number.data(), number.data() + number.size(), channel);
    if (parsed.ec == std::errc() && parsed.ptr == number.data() + number.size() && channel > 2) {
      return take_connection(channel, address, wait_max);
    }
  }
  return Error(ErrorKind::invalid_argument, address + ": not where an image's owner is reached",
               "write unix:PATH");
}

} // namespace vnvram
