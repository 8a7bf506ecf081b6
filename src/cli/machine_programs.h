// The programs that serve a machine, as `vnvram serve` starts them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/device_socket.h"
#include "keys/held_key.h"
#include "service/listener.h"
#include "supervise/front_end.h"
#include "vnvram/result.h"

namespace vnvram::cli {

/// Of the program of ours that is called so: beside this one, else its name, to be looked for along
/// PATH.
[[nodiscard]] std::string sibling_program(const std::string& name);

/// The same, with the folder `libexec/vnvram` beside this program's before all others: what is
/// there is this program's own, whoever has taken its name elsewhere, and no AppArmor profile is
/// about it.
[[nodiscard]] std::string private_program(const std::string& name);

/// vnvram-tpm is looked for beside this program, then along PATH; nbdkit along PATH, and its plugin
/// in the folder `lib` beside this program's, then where nbdkit looks.
class MachinePrograms {
public:
  struct Setup {
    std::string image;
    std::string user; ///< Whom the front ends become; empty: nobody else.
    std::string log_level;
    std::string seccomp; ///< Both as on the command line.
    bool shared = false; ///< See SharedImage.
  };
  explicit MachinePrograms(Setup setup);

  /// The owner, with this program's own options but for the sockets: that of the operators, and the
  /// one for metrics, if there is one.
  /// `keys` outlive it.
  [[nodiscard]] Program owner(std::vector<std::string> options, const Listener& control,
                              const std::optional<Listener>& metrics,
                              const std::vector<HeldKey>& keys) const;
  /// A TPM. Its session reaches this TPM's blobs, and its name says which they are. Errors:
  /// invalid_argument (words).
  [[nodiscard]] Result<FrontEnd> tpm(const DeviceSocket& socket, const Listener& listener) const;
  /// nbdkit. Its session reaches all but TPMs' blobs, served or not, or the exports that are named.
  /// Errors: invalid_argument.
  [[nodiscard]] Result<FrontEnd> nbd(const DeviceSocket& socket, const Listener& listener) const;

private:
  /// Errors: invalid_argument (there is none of that name).
  [[nodiscard]] Result<std::optional<uid_t>> find_front_ends_user() const;

  const Setup setup_;
  const std::string folder_; ///< Of this program.
};

} // namespace vnvram::cli
