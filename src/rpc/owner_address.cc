#include "rpc/owner_address.h"

#include <poll.h>

#include <charconv>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include "base/descriptor_passing.h"
#include "rpc/socket_connection.h"

namespace vnvram {
namespace {

constexpr std::string_view socket_beginning = "unix:";
constexpr std::string_view descriptor_beginning = "fd:";
// Who starts this process may not have come to it.
constexpr std::chrono::milliseconds first_wait_max = std::chrono::seconds(10);

// Each that comes is one connection.
Result<UniqueFd> take_connection(int channel, std::chrono::milliseconds wait_max) {
  pollfd entry{.fd = channel, .events = POLLIN, .revents = 0};
  (void)::poll(&entry, 1, static_cast<int>(wait_max.count()));
  Result<std::optional<PassedDescriptor>> passed = take_descriptor(channel);
  if (!passed && passed.error().kind() == ErrorKind::absent) {
    return Error(ErrorKind::stale, "whoever passed on connections to the image's owner has gone",
                 "start the owner, and then what uses it, anew");
  }
  if (!passed) {
    return passed.error();
  }
  if (!*passed || !(*passed)->descriptor.valid()) {
    return Error(ErrorKind::io, "no connection to the image's owner has come");
  }
  return std::move((*passed)->descriptor);
}

} // namespace

bool is_passed_on(std::string_view address) {
  return address.starts_with(descriptor_beginning);
}

Result<Connector> connector_to(const std::string& address) {
  const std::string_view text = address;
  if (text.starts_with(socket_beginning)) {
    return Connector([path = address.substr(socket_beginning.size())] {
      return connect_to_socket(path, "is that the control socket of an owner that runs?");
    });
  }
  int channel = -1;
  if (text.starts_with(descriptor_beginning)) {
    const std::string_view number = text.substr(descriptor_beginning.size());
    const auto parsed = std::from_chars(number.data(), number.data() + number.size(), channel);
    if (parsed.ec == std::errc() && parsed.ptr == number.data() + number.size() && channel > 2) {
      return Connector([channel, wait_max = first_wait_max]() mutable {
        return take_connection(channel, std::exchange(wait_max, std::chrono::milliseconds(0)));
      });
    }
  }
  return Error(ErrorKind::invalid_argument, address + ": not where an image's owner is reached",
               "write unix:PATH");
}

} // namespace vnvram
