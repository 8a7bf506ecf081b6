// The TPM itself: libtpms with its NV memory in an NvShadow.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/secret_bytes.h"
#include "soft_tpm/nv_shadow.h"
#include "soft_tpm/orderly_shutdown.h"
#include "soft_tpm/running_state.h"
#include "soft_tpm/tpm_blobs.h"
#include "vnvram/result.h"

namespace vnvram {

/// Result codes of the control protocol: those of a TPM 1.2, also for a TPM 2.0.
using TpmResult = std::uint32_t;
inline constexpr TpmResult tpm_success = 0x00;
inline constexpr TpmResult tpm_bad_parameter = 0x03;
inline constexpr TpmResult tpm_disabled_command = 0x08;
inline constexpr TpmResult tpm_fail = 0x09;
/// "Not now": the TPM would have to run, or to be stopped.
inline constexpr TpmResult tpm_bad_ordinal = 0x0a;
inline constexpr TpmResult tpm_key_not_found = 0x0d;
inline constexpr TpmResult tpm_bad_parameter_size = 0x19;
inline constexpr TpmResult tpm_decrypt_error = 0x21;
inline constexpr TpmResult tpm_bad_version = 0x2e;
inline constexpr TpmResult tpm_bad_locality = 0x3d;

enum class Manufacture { allowed, forbidden };
enum class Startup { none, clear, state, deactivated };

struct BufferSize {
  std::uint32_t size_bytes = 0;
  std::uint32_t min_bytes = 0;
  std::uint32_t max_bytes = 0;
};

/// One TPM. libtpms keeps its state in globals, so one of these can be on in a process: another one
/// may be made while the first is off, and that one is not used until the other has gone.
///
/// More than 30 methods: it is libtpms's interface, of which each part is used under one lock with
/// one state of the power; what was taken apart from it (NvShadow, OrderlyShutdown) has neither.
///
/// No call does device I/O: what the TPM stores ends up in the shadow, and whoever runs commands
/// makes it durable before the answer leaves (take_changes).
///
/// States: stopped, running, and initialised without running, which is what a guest sees as a TPM
/// in failure mode: INIT was answered with success, because QEMU gives up otherwise, and every
/// command fails. fail() is the same for good.
///
/// Threads: all calls may come from any thread and wait only for another call's computing;
/// execute() and the response that it returns belong to one thread at a time.
class SoftTpm {
public:
  /// `specs` and `contents` in the order of TpmState.
  SoftTpm(TpmVersion version, const std::vector<BlobSpec>& specs,
          std::vector<std::vector<std::byte>> contents, Manufacture manufacture);
  SoftTpm(const SoftTpm&) = delete;
  SoftTpm& operator=(const SoftTpm&) = delete;
  ~SoftTpm();

  [[nodiscard]] TpmVersion version() const { return version_; }
  /// The longest command that libtpms takes.
  [[nodiscard]] std::size_t command_max_bytes() const { return command_max_bytes_; }

  /// Whether there is any state to run with: a TPM that was made without contents has none until
  /// adopt(), or until state blobs are set. An INIT before that starts it as soon as there is.
  [[nodiscard]] bool has_state() const;
  /// No command was run since the last INIT, or ever, or the TPM is off: nobody has seen the TPM's
  /// content, or goes on with it.
  [[nodiscard]] bool is_untouched() const;
  /// The last INIT took over a permanent state that was set.
  [[nodiscard]] bool last_init_restored() const;
  /// A state blob that was set has become the TPM's state, and is not committed yet.
  [[nodiscard]] bool is_restored() const;
  /// Another content takes the place of the TPM's own, with no changes, unless that is restored
  /// (see is_restored): then it is to replace the image's. If the TPM was powered on it is started
  /// anew, else it is only tried. Errors: corrupt (libtpms refuses it); a TPM
  /// that was powered on then fails every command.
  [[nodiscard]] Status adopt(const std::vector<BlobSpec>& specs,
                             std::vector<std::vector<std::byte>> contents, Manufacture manufacture);
  /// The TPM's own content shall replace all of what the image holds.
  void replace_image();
  /// How large each state is, or will be once a state blob that was set is taken over.
  [[nodiscard]] TpmStateSizes state_sizes_bytes() const;
  /// A state blob that was set is taken over by the next INIT, or has been and is not committed.
  [[nodiscard]] bool has_state_from_elsewhere() const;
  /// Those blobs, in the order of TpmState: what was set and not taken over yet. Empty: none was.
  [[nodiscard]] std::vector<SecretBytes> states_that_were_set() const;
  /// Whether an image that holds this is the one that the TPM's changes so far went to.
  [[nodiscard]] bool matches(const std::vector<std::vector<std::byte>>& contents) const;

  /// Powers the TPM on once to see that libtpms accepts its state, then off again. A new TPM is
  /// manufactured by it. Errors: corrupt (libtpms refuses the state).
  [[nodiscard]] Status verify();
  /// Powers on and sends the startup command: a cold start, so volatile state that was stored is
  /// dropped. Errors: corrupt, invalid_argument (no such startup
  /// for this version), io (the TPM refused to start up).
  [[nodiscard]] Status power_on(Startup startup);

  /// Asked before the TPM's power goes: whether its state is one that may still be changed. A TPM
  /// 2.0 whose guest has not sent TPM2_Shutdown is then sent it (see OrderlyShutdown). It is called
  /// when no command can come between.
  using MayShutDown = std::function<bool()>;
  static bool must_not_shut_down() { return false; }

  /// INIT: stops the TPM if it runs, takes over the state blobs that were set, and starts it. Not a
  /// success: the reason; the TPM then counts as initialised and fails every command.
  [[nodiscard]] Status initialise(bool delete_volatile,
                                  const MayShutDown& may_shut_down = must_not_shut_down);
  /// STOP, SHUTDOWN: harmless when it does not run.
  void stop(const MayShutDown& may_shut_down = must_not_shut_down);
  /// The last stop(), or the last INIT, has shut the TPM down in its guest's stead.
  [[nodiscard]] bool was_shut_down() const;

  /// Of the image's blob for this state.
  [[nodiscard]] std::string blob_name(TpmState state) const;
  /// What another one goes on with, that has the same content. Errors: poisoned (it has failed),
  /// unsupported (libtpms cannot say it).
  [[nodiscard]] Result<RunningState> running_state();
  /// To one that was made without contents: it goes on as one that has said this, whose content
  /// this is. It is not a change, and nobody notices. Errors: unsupported (libtpms refuses it; then
  /// the TPM is off).
  [[nodiscard]] Status go_on(const std::vector<BlobSpec>& specs,
                             std::vector<std::vector<std::byte>> contents, RunningState state);

  /// Runs one command and returns the response, which stays valid until the next call. While the
  /// TPM does not run the response is the version's failure response. Nothing, and nothing was run,
  /// if `may_run` says so: it is asked when no other call can come between, so that a state that
  /// get_state() returns has either all of a command or none of it.
  [[nodiscard]] std::optional<std::span<const std::byte>>
  execute(std::span<std::byte> command, std::uint8_t locality,
          const std::function<bool()>& may_run);
  /// Stopped: every command fails, and touches nothing.
  [[nodiscard]] bool is_off() const { return !running_ && !seems_running(); }
  /// The ten bytes that a TPM in failure mode answers with; also for a command of a wrong length.
  [[nodiscard]] std::span<const std::byte> failure_response() const;
  [[nodiscard]] std::span<const std::byte> wrong_size_response() const;

  /// For good: nothing but a restart of the process brings the TPM back.
  void fail() { failed_ = true; }
  [[nodiscard]] bool failed() const { return failed_; }

  struct Changes {
    Transaction transaction;
    bool restored = false; ///< The permanent state came from a state blob.
  };
  [[nodiscard]] bool has_changes() const;
  /// Whether there are changes besides those of a shutdown in the guest's stead, which nobody
  /// counts on.
  [[nodiscard]] bool has_changes_to_keep() const;
  [[nodiscard]] Changes take_changes();

  // What the control protocol asks for; the results are its results.
  [[nodiscard]] TpmResult cancel();
  [[nodiscard]] TpmResult established(bool& bit);
  [[nodiscard]] TpmResult reset_established(std::uint8_t locality);
  [[nodiscard]] TpmResult hash_start();
  [[nodiscard]] TpmResult hash_data(std::span<const std::byte> data);
  [[nodiscard]] TpmResult hash_end();
  [[nodiscard]] TpmResult store_volatile();
  [[nodiscard]] TpmResult get_state(TpmState state, std::vector<std::byte>& blob);
  /// Whether set_state() could be called now with so many bytes, as far as the TPM knows: whether
  /// the image has room for them is another question (AdoptedImage::check_room).
  [[nodiscard]] TpmResult check_set_state(std::uint64_t length_bytes) const;
  /// Keeps the blob until the next INIT. A refused one changes nothing.
  [[nodiscard]] TpmResult set_state(TpmState state, std::vector<std::byte> blob);
  /// Whether libtpms starts with these, in the order of TpmState, of which an empty one is none.
  /// Nothing of the TPM is changed by it. Errors: corrupt; exists (the TPM is on).
  [[nodiscard]] Status check_states(const std::vector<std::vector<std::byte>>& states);
  /// 0 only asks.
  [[nodiscard]] TpmResult set_buffer_size(std::uint32_t wanted_bytes, BufferSize& size);
  [[nodiscard]] std::string info(std::uint64_t flags);

private:
  friend struct SoftTpmCallbacks;

  [[nodiscard]] TpmResult start_locked();
  [[nodiscard]] bool has_state_locked() const;
  void stop_locked();
  void shut_down_locked(const MayShutDown& may_shut_down);
  [[nodiscard]] std::uint64_t revision_locked() const;
  [[nodiscard]] bool has_changes_to_keep_locked() const;
  [[nodiscard]] bool seems_running() const { return failed_ || initialised_; }
  [[nodiscard]] std::span<const std::byte> stored(TpmState state) const;

  const TpmVersion version_;
  SoftTpm* before_ = nullptr; ///< Which is off, and libtpms's again after this one.
  const std::size_t command_max_bytes_;
  mutable std::mutex mutex_;
  NvShadow shadow_;
  std::array<std::optional<SecretBytes>, tpm_state_count> staged_;
  bool may_manufacture_;
  bool restored_ = false;
  bool last_init_restored_ = false;
  bool untouched_ = true;
  OrderlyShutdown orderly_shutdown_;
  bool was_shut_down_ = false;
  std::uint64_t shut_down_revision_ = 0;  ///< Nothing but a shutdown has led to it.
  bool deletes_volatile_ = false;         ///< What the INIT that adopt() makes up for asked for.
  std::atomic<bool> running_ = false;     ///< Written under mutex_.
  std::atomic<bool> initialised_ = false; ///< Written under mutex_.
  std::atomic<bool> failed_ = false;
  std::uint8_t locality_ = 0;
  unsigned char* response_ = nullptr; ///< libtpms allocates it and uses it again.
  std::uint32_t response_capacity_bytes_ = 0;
};

} // namespace vnvram
