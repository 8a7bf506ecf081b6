// swtpm_setup, run on a TPM that is nobody's yet.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/secret_bytes.h"
#include "base/unique_fd.h"
#include "base/work_folder.h"
#include "manufacture/authority_owner.h"
#include "vnvram/result.h"

namespace vnvram {

/// A private folder in which swtpm_setup has vnvram-swtpm make an image. Its key is only in this
/// process and in those that it starts, so that nothing readable is left on a disk, whatever ends
/// them. The folder goes with this object, and all that runs in it; who was killed leaves it to the
/// next one to remove.
class SetupRun {
public:
  /// Below the folder for temporary files. swtpm_setup is to run as `user`, if there is one: what
  /// it makes is then that user's. Errors: io; invalid_argument (that folder's name).
  static Result<SetupRun> make(std::optional<Account> user);

  /// Runs swtpm_setup, as it is found along PATH, with `options` beside those that say where. It
  /// may take as long as whoever issues its certificates does. Errors: unsupported (one of the
  /// programs is not there); io (it failed: what it said last is in the cause).
  Status run(const std::string& tpm_program, const std::vector<std::string>& options) const;

  /// What has been made: open, by no path, which another user might lead elsewhere. Errors: io.
  [[nodiscard]] Result<UniqueFd> open_image() const;
  /// What opens it.
  [[nodiscard]] const SecretBytes& key() const { return key_; }

private:
  SetupRun(WorkFolder folder, SecretBytes key, std::optional<Account> user)
      : folder_(std::move(folder)), key_(std::move(key)), user_(std::move(user)) {}
  /// All that swtpm_setup may write to: ours is only what is around it.
  [[nodiscard]] std::string place() const { return folder_.path() + "/setup"; }
  [[nodiscard]] std::string log() const { return place() + "/log"; }
  [[nodiscard]] std::string state_folder() const { return place() + "/tpm"; }
  [[nodiscard]] Status make_place() const;
  [[nodiscard]] std::string read_log() const;
  [[nodiscard]] std::string remedy(const std::string& said) const;
  [[nodiscard]] Error failure(const std::string& program, int code, const std::string& said) const;

  WorkFolder folder_;
  SecretBytes key_;
  std::optional<Account> user_;
};

} // namespace vnvram
