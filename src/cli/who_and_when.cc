#include "cli/who_and_when.h"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <ctime>

#include <fmt/core.h>

#include "base/host_name.h"

namespace vnvram::cli {
namespace {

std::string time_text() {
  const std::time_t now = std::time(nullptr);
  struct tm parts {};
  std::array<char, 32> text{};
  if (::gmtime_r(&now, &parts) == nullptr ||
      std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
    return std::to_string(now);
  }
  return text.data();
}

std::string user_text() {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 16384> buffer{};
  if (::getpwuid_r(::getuid(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return std::to_string(::getuid());
  }
  return found->pw_name;
}

std::string host_text() {
  const std::string name = host_name();
  return name.empty() ? "an unnamed host" : name;
}

} // namespace

std::string who_and_when() {
  return fmt::format("{} by {} on {}", time_text(), user_text(), host_text());
}

} // namespace vnvram::cli
