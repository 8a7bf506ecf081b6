// Whether a TPM 2.0 has been told that its power goes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace vnvram {

/// A TPM 2.0 that loses its power without TPM2_Shutdown, after an object with a password was used,
/// counts that as a wrong guess of the password at its next startup: a dictionary attack could be
/// what cut the power. An operating system sends the command when it shuts down; whoever resets a
/// machine, or pulls its plug, sends it in its stead.
///
/// What decides is in the permanent state: the TPM notes there that it was shut down, and takes the
/// note back with the first command that would make a later startup go wrong. So as long as the
/// permanent state has not changed since, a TPM2_Shutdown of the guest's own stands.
///
/// Threads: none of its own; its owner locks.
class OrderlyShutdown {
public:
  using Command = std::array<std::byte, 12>;

  /// The TPM begins anew: nothing was sent to it.
  void powered_on() { last_.reset(); }
  /// A command was run. `permanent_revision` is different whenever the permanent state is.
  void ran(std::span<const std::byte> command, std::span<const std::byte> response,
           std::uint64_t permanent_revision);
  /// What has to be sent before the power goes, the first that the TPM accepts; nothing if what was
  /// sent stands. A guest that has prepared to be resumed (Shutdown(STATE)) and went on still is:
  /// nothing less is sent for it, unless the TPM refuses.
  [[nodiscard]] std::span<const Command> due(std::uint64_t permanent_revision) const;

  /// What the guest has sent last.
  struct Told {
    bool keeps_state = false; ///< Shutdown(STATE).
    bool stands = false;      ///< The permanent state has not changed since.
  };
  /// Nothing: it has sent none since the power came.
  [[nodiscard]] std::optional<Told> told(std::uint64_t permanent_revision) const;
  /// Of a TPM that has begun in another process.
  void was_told(Told told, std::uint64_t permanent_revision);

private:
  struct Sent {
    bool keeps_state = false; ///< Shutdown(STATE).
    std::uint64_t permanent_revision = 0;
  };
  std::optional<Sent> last_;
};

} // namespace vnvram
