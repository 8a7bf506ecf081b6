#include "device/qemu_error.h"

#include <fmt/core.h>

namespace vnvram {
namespace {

constexpr std::string_view clock_stood_still = "Unable to get accurate CPU usage";

/// Without the program's name; what follows as a rule only repeats it.
std::string first_line(std::string_view program, const std::string& said) {
  const std::string line = said.substr(0, said.find('\n'));
  const std::string prefix = fmt::format("{}: ", program);
  return line.starts_with(prefix) ? line.substr(prefix.size()) : line;
}

} // namespace

Error qemu_error(std::string_view program, const std::string& name, Access access,
                 const std::string& said) {
  const auto says = [&](std::string_view words) { return said.find(words) != std::string::npos; };
  if (says("Is another process using the image") || says("\" lock")) {
    return {ErrorKind::in_use, name + ": another program has this VM image open",
            access == Access::read_write
                ? "stop that program first"
                : "stop that program first, or ask it; a VM image cannot be read beside one that "
                  "writes to it"};
  }
  if (says("Invalid password")) {
    return {ErrorKind::wrong_key, name + ": the key does not open the image",
            "the key is all of the file's bytes, a newline at the end included"};
  }
  if (says("is not valid UTF-8")) {
    return {ErrorKind::invalid_argument,
            name + ": the key is not UTF-8 text, and QEMU takes no other",
            "openssl rand -hex 32 makes a good one"};
  }
  const std::string line = said.empty() ? "it has ended without a word" : first_line(program, said);
  Error error(ErrorKind::io, fmt::format("{}: {}: {}", name, program, line));
  if (says("No space left") || says("File too large") || says("quota exceeded")) {
    return {ErrorKind::no_space, error.cause()};
  }
  if (says(clock_stood_still)) {
    return {ErrorKind::io, error.cause(), "do it again: QEMU before 9.2.1 fails so by chance"};
  }
  if (says("Permission denied")) {
    // The image itself was looked at first.
    return {ErrorKind::io, error.cause(), "give this user access to all files of the image"};
  }
  return error;
}

bool failed_by_chance(const Error& error) {
  return error.cause().find(clock_stood_still) != std::string::npos;
}

} // namespace vnvram
