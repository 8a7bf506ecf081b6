#include "swtpm/process_identity.h"

#include <grp.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <limits>
#include <optional>
#include <system_error>

#include <fmt/core.h>

#include "service/sandbox.h"
#include "swtpm/option_list.h"

namespace vnvram {
namespace {

Error not_allowed(std::string_view what, int error) {
  return {ErrorKind::unsupported,
          fmt::format("Error: {} failed: {}", what, std::system_category().message(error)),
          "start swtpm as root, or leave the option out"};
}

Status enter(const std::string& root) {
  if (::chroot(root.c_str()) != 0) {
    return not_allowed(fmt::format("chroot to '{}'", root), errno);
  }
  return ::chdir("/") == 0 ? Status() : not_allowed("chdir to the new root", errno);
}

std::optional<uid_t> as_number(const std::string& user) {
  uid_t number = 0;
  const char* end = user.data() + user.size();
  const auto read = std::from_chars(user.data(), end, number);
  const bool is_number = read.ec == std::errc() && read.ptr == end;
  // The highest one means "leave it as it is" to setresuid().
  return is_number && number != std::numeric_limits<uid_t>::max() ? std::optional(number)
                                                                  : std::nullopt;
}

Status become(uid_t number) {
  if (::geteuid() == 0 && ::setgroups(0, nullptr) != 0) {
    return not_allowed("setgroups", errno);
  }
  if (::setresgid(number, number, number) != 0) {
    return not_allowed(fmt::format("setgid({})", number), errno);
  }
  if (::setresuid(number, number, number) != 0) {
    return not_allowed(fmt::format("setuid({})", number), errno);
  }
  return {};
}

} // namespace

Status take_identity(const std::string& root, const std::string& user) {
  if (!root.empty()) {
    if (Status entered = enter(root); !entered.ok()) {
      return entered;
    }
  }
  if (user.empty()) {
    return {};
  }
  if (const auto number = as_number(user)) {
    return become(*number);
  }
  if (!find_user(user).ok()) {
    return option_error(fmt::format("Error: User '{}' does not exist.", user),
                        root.empty() ? "" : "names are looked up in the new root: write a number");
  }
  Status became = become_user(user);
  return became.ok() ? became
                     : Error(became.error().kind(), became.error().cause(),
                             "start swtpm as root, or leave out --runas");
}

} // namespace vnvram
