// SoftTpm: power on, power off, and what is started with.
#include <algorithm>
#include <cassert>
#include <utility>

#include <fmt/core.h>
#include <libtpms/tpm_library.h>
// After it: it does not include what it needs.
#include <libtpms/tpm_error.h>

#include "soft_tpm/libtpms_pointer.h"
#include "soft_tpm/soft_tpm.h"
#include "soft_tpm/tpm_message.h"

namespace vnvram {
namespace {

// TPM2_Startup(CLEAR) and TPM_Startup(ST_CLEAR); the last byte says which startup it is.
constexpr auto startup_tpm2 = bytes_of<12>("\x80\x01\0\0\0\x0c\0\0\x01\x44\0\0");
constexpr auto startup_tpm12 = bytes_of<12>("\0\xc1\0\0\0\x0c\0\0\0\x99\0\x01");

Error refused_state(TpmResult result) {
  return {ErrorKind::corrupt,
          fmt::format("libtpms refuses the TPM's state with code 0x{:x}", result),
          "restore the image from a backup; `check` tells whether the image itself is whole"};
}

} // namespace

Status SoftTpm::adopt(const std::vector<BlobSpec>& specs,
                      std::vector<std::vector<std::byte>> contents, Manufacture manufacture) {
  const std::lock_guard lock(mutex_);
  if (restored_) { // Since the caller has looked.
    shadow_.mark_all();
    return {};
  }
  const bool powered_on = initialised_ && !failed_;
  const bool has_staged = std::any_of(staged_.begin(), staged_.end(),
                                      [](const auto& state) { return state.has_value(); });
  stop_locked();
  shadow_ = NvShadow(specs);
  shut_down_revision_ = 0;
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    shadow_.load(static_cast<TpmState>(state), std::move(contents.at(state)));
  }
  may_manufacture_ = manufacture == Manufacture::allowed;
  restored_ = false;
  untouched_ = true;
  if (has_staged) {
    return {}; // The next INIT takes that.
  }
  const TpmResult result = start_locked();
  if (!powered_on) {
    stop_locked();
  } else if (std::exchange(deletes_volatile_, false)) {
    shadow_.erase(TpmState::volatile_state);
  }
  initialised_ = powered_on;
  return result == tpm_success ? Status() : refused_state(result);
}

// Each by itself can be right, and the volatile one be another TPM's: so the TPM is started once.
Status SoftTpm::check_states(const std::vector<std::vector<std::byte>>& states) {
  const std::lock_guard lock(mutex_);
  if (seems_running() || running_) {
    return Error(ErrorKind::exists, "the TPM is on");
  }
  NvShadow kept = std::exchange(shadow_, NvShadow(tpm_blob_specs(version_)));
  auto kept_staged = std::exchange(staged_, {});
  const bool could_manufacture = std::exchange(may_manufacture_, false);
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    shadow_.load(static_cast<TpmState>(state), states.at(state));
  }
  const TpmResult result = states.front().empty() ? tpm_fail : start_locked();
  stop_locked();
  shadow_ = std::move(kept);
  staged_ = std::move(kept_staged);
  may_manufacture_ = could_manufacture;
  return result == tpm_success
             ? Status()
             : Error(ErrorKind::corrupt,
                     fmt::format("{} refuses it with code 0x{:x}", libtpms_producer(), result));
}

Status SoftTpm::verify() {
  const std::lock_guard lock(mutex_);
  const TpmResult result = start_locked();
  stop_locked();
  return result == tpm_success ? Status() : refused_state(result);
}

Status SoftTpm::power_on(Startup startup) {
  if (startup != Startup::none) {
    // A TPM that goes on with its volatile state is started up already and refuses to be again.
    const std::lock_guard lock(mutex_);
    shadow_.erase(TpmState::volatile_state);
  }
  if (Status started = initialise(false); !started.ok()) {
    return started;
  }
  const bool is_tpm2 = version_ == TpmVersion::tpm2_0;
  auto command = is_tpm2 ? startup_tpm2 : startup_tpm12;
  switch (startup) {
  case Startup::none: return {};
  case Startup::clear: break;
  case Startup::state: command.back() = static_cast<std::byte>(is_tpm2 ? 1 : 2); break;
  case Startup::deactivated:
    if (is_tpm2) {
      return Error(ErrorKind::invalid_argument, "a TPM 2.0 has no startup 'deactivated'",
                   "use --startup clear or --startup state");
    }
    command.back() = std::byte{3};
    break;
  }
  const auto response = *execute(command, 0, [] { return true; });
  const TpmResult code = tpm_code(response);
  if (code != tpm_success) {
    return Error(ErrorKind::io, fmt::format("the TPM refuses to start up: code 0x{:x}", code),
                 startup == Startup::state ? "use --startup clear" : "");
  }
  return {};
}

TpmResult SoftTpm::start_locked() {
  const TpmResult result = TPMLIB_MainInit();
  running_ = result == tpm_success;
  orderly_shutdown_.powered_on();
  if (result == tpm_success) {
    may_manufacture_ = false; // A TPM is made once.
  } else {
    TPMLIB_Terminate();
  }
  return result;
}

void SoftTpm::stop_locked() {
  if (running_) {
    TPMLIB_Terminate();
  }
  running_ = false;
  initialised_ = false;
}

std::uint64_t SoftTpm::revision_locked() const {
  return shadow_.revision(TpmState::permanent) + shadow_.revision(TpmState::volatile_state) +
         shadow_.revision(TpmState::save_state);
}

bool SoftTpm::has_changes_to_keep_locked() const {
  return shadow_.has_changes() && revision_locked() != shut_down_revision_;
}

// A TPM that was not started up refuses, and nothing has happened: it has nothing to lose.
void SoftTpm::shut_down_locked(const MayShutDown& may_shut_down) {
  was_shut_down_ = false;
  if (version_ != TpmVersion::tpm2_0 || !running_ || failed_ || !may_shut_down()) {
    return;
  }
  const bool nothing_to_keep = !has_changes_to_keep_locked();
  for (OrderlyShutdown::Command command :
       orderly_shutdown_.due(shadow_.revision(TpmState::permanent))) {
    locality_ = 0;
    unsigned char* data = nullptr; // The other response may still be on its way to a client.
    std::uint32_t size_bytes = 0;
    std::uint32_t capacity_bytes = 0;
    const TpmResult result = TPMLIB_Process(&data, &size_bytes, &capacity_bytes,
                                            reinterpret_cast<unsigned char*>(command.data()),
                                            static_cast<std::uint32_t>(command.size()));
    const LibtpmsPointer<unsigned char> owner(data);
    if (result == tpm_success &&
        tpm_code(std::as_bytes(std::span<const unsigned char>(data, size_bytes))) == 0) {
      was_shut_down_ = true;
      break;
    }
  }
  if (nothing_to_keep) {
    shut_down_revision_ = revision_locked();
  }
}

bool SoftTpm::was_shut_down() const {
  const std::lock_guard lock(mutex_);
  return was_shut_down_;
}

Status SoftTpm::initialise(bool delete_volatile, const MayShutDown& may_shut_down) {
  const std::lock_guard lock(mutex_);
  shut_down_locked(may_shut_down);
  stop_locked();
  initialised_ = true;
  last_init_restored_ = false;
  if (failed_) {
    return Error(ErrorKind::poisoned, "the TPM is in failure mode since a commit failed",
                 "restart vnvram-tpm when the device is well again");
  }
  if (!has_state_locked()) {
    untouched_ = true;
    deletes_volatile_ = delete_volatile;
    return {}; // adopt() starts it.
  }
  // A TPM that does not start leaves no trace in what is committed.
  NvShadow before = shadow_;
  bool restored = false;
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    if (auto blob = std::exchange(staged_.at(state), std::nullopt)) {
      const bool stored = shadow_.store(static_cast<TpmState>(state), blob->get());
      assert(stored); // set_state() has looked at its size.
      restored = restored || state == static_cast<std::size_t>(TpmState::permanent);
    }
  }
  if (const TpmResult result = start_locked(); result != tpm_success) {
    shadow_ = std::move(before);
    return refused_state(result);
  }
  restored_ = restored_ || restored;
  last_init_restored_ = restored;
  untouched_ = true;
  if (delete_volatile) {
    shadow_.erase(TpmState::volatile_state);
  }
  return {};
}

void SoftTpm::stop(const MayShutDown& may_shut_down) {
  const std::lock_guard lock(mutex_);
  shut_down_locked(may_shut_down);
  stop_locked();
}

} // namespace vnvram
