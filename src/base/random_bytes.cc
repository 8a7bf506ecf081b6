#include "base/random_bytes.h"

#include <cerrno>
#include <system_error>

#include <sys/random.h>

namespace vnvram {

Status random_bytes(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::getrandom(bytes.data(), bytes.size(), 0);
    if (count < 0 && errno != EINTR) {
      return Error{ErrorKind::io, "no random numbers: " + std::generic_category().message(errno)};
    }
    bytes = bytes.subspan(count < 0 ? 0 : static_cast<std::size_t>(count));
  }
  return {};
}

} // namespace vnvram
