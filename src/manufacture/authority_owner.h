// Whose the files are that certificates are made with.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace vnvram {

struct Account {
  std::string name; ///< Or the number, of one that has none.
  bool is_named = false;
  uid_t user = 0;
  gid_t group = 0; ///< Of one that has no name: the same number.
};

/// The owner of the folder that swtpm_localca keeps its authority in, by swtpm_setup's
/// configuration
/// (`config`, or where it looks itself if that is empty) and the one that this names. For root, who
/// would leave files there that the owner cannot use any more: libvirt runs swtpm_setup as the
/// owner. Nothing: we are not root, the folder is root's, or there is none.
[[nodiscard]] std::optional<Account> authority_owner(const std::string& config);

} // namespace vnvram
