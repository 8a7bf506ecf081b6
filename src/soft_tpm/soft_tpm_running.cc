// SoftTpm: from one process to another, with its power on.
#include <cstring>
#include <utility>

#include <fmt/core.h>
#include <libtpms/tpm_library.h>
// After it: it does not include what it needs.
#include <libtpms/tpm_error.h>

#include "soft_tpm/libtpms_pointer.h"
#include "soft_tpm/soft_tpm.h"

namespace vnvram {
namespace {

Error refused(const char* what, TpmResult result) {
  return {ErrorKind::unsupported, fmt::format("{} {} the running TPM's state, code 0x{:x}",
                                              libtpms_producer(), what, result)};
}

} // namespace

std::string SoftTpm::blob_name(TpmState state) const {
  const std::lock_guard lock(mutex_);
  return shadow_.name(state);
}

Result<RunningState> SoftTpm::running_state() {
  const std::lock_guard lock(mutex_);
  if (failed_) {
    return Error(ErrorKind::poisoned, "the TPM is in failure mode");
  }
  RunningState state;
  if (running_) {
    state.power = RunningState::Power::on;
    unsigned char* data = nullptr;
    std::uint32_t length_bytes = 0;
    const TpmResult result = TPMLIB_VolatileAll_Store(&data, &length_bytes);
    const LibtpmsPointer<unsigned char> owner(data);
    if (result != tpm_success) {
      return refused("cannot say", result);
    }
    state.volatile_state = SecretBytes(std::as_bytes(std::span(data, length_bytes)));
    wipe_memory(std::as_writable_bytes(std::span(data, length_bytes)));
  } else if (initialised_) {
    state.power = RunningState::Power::refused;
  }
  for (std::size_t each = 0; each < tpm_state_count; ++each) {
    if (staged_.at(each)) {
      state.coming.at(each).emplace(std::span<const std::byte>(staged_.at(each)->get()));
    }
  }
  state.is_untouched = untouched_;
  state.buffer_size_bytes = TPMLIB_SetBufferSize(0, nullptr, nullptr);
  state.shutdown = orderly_shutdown_.told(shadow_.revision(TpmState::permanent));
  return state;
}

Status SoftTpm::go_on(const std::vector<BlobSpec>& specs,
                      std::vector<std::vector<std::byte>> contents, RunningState state) {
  const std::lock_guard lock(mutex_);
  shadow_ = NvShadow(specs);
  for (std::size_t each = 0; each < tpm_state_count; ++each) {
    shadow_.load(static_cast<TpmState>(each), std::move(contents.at(each)));
  }
  TPMLIB_SetBufferSize(state.buffer_size_bytes, nullptr, nullptr);
  initialised_ = state.power != RunningState::Power::off;
  untouched_ = state.is_untouched;
  if (state.power == RunningState::Power::on) {
    // It is read in the place of the one that is stored, which stays as it is.
    auto& read = staged_.at(static_cast<std::size_t>(TpmState::volatile_state));
    read = std::move(state.volatile_state);
    const TpmResult result = start_locked();
    read.reset();
    if (result != tpm_success) {
      initialised_ = false;
      return refused("does not take", result);
    }
  }
  for (std::size_t each = 0; each < tpm_state_count; ++each) {
    if (state.coming.at(each)) {
      staged_.at(each) = std::move(state.coming.at(each));
    }
  }
  if (state.shutdown) {
    orderly_shutdown_.was_told(*state.shutdown, shadow_.revision(TpmState::permanent));
  }
  return {};
}

} // namespace vnvram
