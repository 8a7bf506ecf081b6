#include "base/random_bytes.h"

#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

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

Result<std::string> random_letters(std::size_t count) {
  constexpr std::string_view letters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  std::string text(count, '\0');
  const Status made = random_bytes(std::as_writable_bytes(std::span(text)));
  for (char& each : text) {
    each = letters[static_cast<unsigned char>(each) % letters.size()];
  }
  return made ? Result<std::string>(std::move(text)) : made.error();
}

} // namespace vnvram
