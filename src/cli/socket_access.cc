#include "cli/socket_access.h"

#include <grp.h>

#include <charconv>
#include <vector>

namespace vnvram::cli {
namespace {

constexpr mode_t mode_max = 0777;

Result<gid_t> group_of(const std::string& option, const std::string& name) {
  group entry{};
  group* found = nullptr;
  std::vector<char> text(16384);
  ::getgrnam_r(name.c_str(), &entry, text.data(), text.size(), &found);
  if (found == nullptr) {
    return Error(ErrorKind::invalid_argument,
                 option + "group " + name + ": there is no such group");
  }
  return entry.gr_gid;
}

} // namespace

Result<SocketAccess> parse_socket_access(const std::string& option, const std::string& mode,
                                         const std::string& group) {
  SocketAccess access;
  unsigned number = 0;
  const char* end = mode.data() + mode.size();
  const auto parsed = std::from_chars(mode.data(), end, number, 8);
  if (!mode.empty() && (parsed.ec != std::errc() || parsed.ptr != end || number > mode_max)) {
    return Error(ErrorKind::invalid_argument, option + "mode " + mode,
                 "write an octal number up to 0777");
  }
  access.mode = mode.empty() ? access.mode : number;
  if (!group.empty()) {
    const Result<gid_t> found = group_of(option, group);
    if (!found) {
      return found.error();
    }
    access.group = *found;
  }
  return access;
}

} // namespace vnvram::cli
