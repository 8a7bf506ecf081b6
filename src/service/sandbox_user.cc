// Whom a process becomes before it is confined.
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <vector>

#include "service/sandbox.h"

namespace vnvram {
namespace {

struct FoundUser {
  uid_t uid;
  gid_t gid;
};

Result<FoundUser> look_up_user(const std::string& user) {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> text(16384);
  const int looked_up = ::getpwnam_r(user.c_str(), &entry, text.data(), text.size(), &found);
  if (found == nullptr) {
    return Error(
        ErrorKind::invalid_argument,
        "user '" + user + "': " +
            (looked_up == 0 ? "there is no such user" : std::system_category().message(looked_up)));
  }
  return FoundUser{entry.pw_uid, entry.pw_gid};
}

} // namespace

Result<uid_t> find_user(const std::string& user) {
  const Result<FoundUser> found = look_up_user(user);
  return found ? Result<uid_t>(found->uid) : found.error();
}

Status become_user(const std::string& user) {
  const Result<FoundUser> found = look_up_user(user);
  if (!found) {
    return found.error();
  }
  if (::initgroups(user.c_str(), found->gid) != 0 ||
      ::setresgid(found->gid, found->gid, found->gid) != 0 ||
      ::setresuid(found->uid, found->uid, found->uid) != 0) {
    return Error(ErrorKind::unsupported,
                 "cannot become user '" + user + "': " + std::system_category().message(errno),
                 "start vnvram-tpm as root, or leave out --user");
  }
  return {};
}

} // namespace vnvram
