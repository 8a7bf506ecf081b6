#include "manufacture/authority_owner.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>

namespace vnvram {
namespace {

std::string in_environment(const char* name) {
  const char* value = ::getenv(name); // NOLINT(concurrency-mt-unsafe): nobody changes it.
  return value == nullptr ? "" : value;
}

/// Where swtpm's programs look for a configuration that nobody names.
std::string usual_config(const std::string& name) {
  std::string own = in_environment("XDG_CONFIG_HOME");
  const std::string home = in_environment("HOME");
  if (own.empty() && !home.empty()) {
    own = home + "/.config";
  }
  const std::string path = own + "/" + name;
  return !own.empty() && ::access(path.c_str(), R_OK) == 0 ? path : "/etc/" + name;
}

std::string trimmed(const std::string& text) {
  constexpr const char* blanks = " \t\r";
  const std::size_t first = text.find_first_not_of(blanks);
  return first == std::string::npos ? std::string()
                                    : text.substr(first, text.find_last_not_of(blanks) + 1 - first);
}

/// What stands behind "NAME =" in a line of its own; empty: nothing.
std::string value_in(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t sign = line.find('=');
    if (sign != std::string::npos && trimmed(line.substr(0, sign)) == name) {
      return trimmed(line.substr(sign + 1));
    }
  }
  return {};
}

Account account_of(uid_t user) {
  struct passwd entry {};
  struct passwd* found = nullptr;
  std::array<char, 16384> buffer{};
  const int failed = ::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found);
  return failed == 0 && found != nullptr
             ? Account{.name = found->pw_name,
                       .is_named = true,
                       .user = user,
                       .group = found->pw_gid}
             : Account{.name = std::to_string(user), .user = user, .group = user};
}

} // namespace

std::optional<Account> authority_owner(const std::string& config) {
  if (::geteuid() != 0) {
    return std::nullopt;
  }
  const std::string setup = config.empty() ? usual_config("swtpm_setup.conf") : config;
  const std::string named = value_in(setup, "create_certs_tool_config");
  const std::string folder =
      value_in(named.empty() ? usual_config("swtpm-localca.conf") : named, "statedir");
  struct stat status {};
  if (folder.empty() || ::stat(folder.c_str(), &status) != 0 || status.st_uid == 0) {
    return std::nullopt;
  }
  return account_of(status.st_uid);
}

} // namespace vnvram
