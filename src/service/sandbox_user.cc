// Whom a process becomes before it is confined.
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
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

// One that cannot be told is taken for an old one.
bool reserving_takes_administering() {
  struct utsname system = {};
  unsigned major = 0;
  unsigned minor = 0;
  return ::uname(&system) != 0 || std::sscanf(system.release, "%u.%u", &major, &minor) != 2 ||
         major < 6 || (major == 6 && minor < 6);
}

bool keep_rights_to_reserve() {
  std::uint32_t rights = 1U << CAP_SYS_RAWIO;
  if (reserving_takes_administering()) {
    rights |= 1U << CAP_SYS_ADMIN;
  }
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> kept = {};
  kept[0] = {.effective = rights, .permitted = rights, .inheritable = 0};
  return ::syscall(SYS_capset, &header, kept.data()) == 0;
}

} // namespace

Result<uid_t> find_user(const std::string& user) {
  const Result<FoundUser> found = look_up_user(user);
  return found ? Result<uid_t>(found->uid) : found.error();
}

Status become_user(const std::string& user, KeptRights kept) {
  const Result<FoundUser> found = look_up_user(user);
  if (!found) {
    return found.error();
  }
  const bool keeps = kept != KeptRights::none;
  // With it setresuid() leaves what root may for keep_rights_to_reserve() to cut down.
  if ((keeps && ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) ||
      ::initgroups(user.c_str(), found->gid) != 0 ||
      ::setresgid(found->gid, found->gid, found->gid) != 0 ||
      ::setresuid(found->uid, found->uid, found->uid) != 0 ||
      (keeps && !keep_rights_to_reserve())) {
    return Error(ErrorKind::unsupported,
                 "cannot become user '" + user + "': " + std::system_category().message(errno),
                 "start vnvram-tpm as root, or leave out --user");
  }
  return {};
}

} // namespace vnvram
