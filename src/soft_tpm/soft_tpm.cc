#include "soft_tpm/soft_tpm.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <fmt/core.h>
#include <libtpms/tpm_library.h>
// After it: the other two do not include what they need.
#include <libtpms/tpm_error.h>
#include <libtpms/tpm_tis.h>

#include "soft_tpm/libtpms_callbacks.h"
#include "soft_tpm/libtpms_pointer.h"
#include "soft_tpm/tpm_message.h"

namespace vnvram {
namespace {

// Tag, length 10, code: TPM_RC_FAILURE and TPM_RC_COMMAND_SIZE, TPM_FAIL and TPM_BAD_PARAM_SIZE.
constexpr auto failure_tpm2 = bytes_of<10>("\x80\x01\0\0\0\x0a\0\0\x01\x01");
constexpr auto failure_tpm12 = bytes_of<10>("\0\xc4\0\0\0\x0a\0\0\0\x09");
constexpr auto wrong_size_tpm2 = bytes_of<10>("\x80\x01\0\0\0\x0a\0\0\x01\x42");
constexpr auto wrong_size_tpm12 = bytes_of<10>("\0\xc4\0\0\0\x0a\0\0\0\x19");

TPMLIB_StateType libtpms_state(TpmState state) {
  switch (state) {
  case TpmState::permanent: return TPMLIB_STATE_PERMANENT;
  case TpmState::volatile_state: return TPMLIB_STATE_VOLATILE;
  case TpmState::save_state: return TPMLIB_STATE_SAVE_STATE;
  }
  return TPMLIB_STATE_PERMANENT;
}

} // namespace

SoftTpm::SoftTpm(TpmVersion version, const std::vector<BlobSpec>& specs,
                 std::vector<std::vector<std::byte>> contents, Manufacture manufacture)
    : version_(version), command_max_bytes_(tpm_command_max_bytes(version)), shadow_(specs),
      may_manufacture_(manufacture == Manufacture::allowed) {
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    shadow_.load(static_cast<TpmState>(state), std::move(contents.at(state)));
  }
  before_ = SoftTpmCallbacks::attach(*this);
}

SoftTpm::~SoftTpm() {
  stop();
  SoftTpmCallbacks::detach(before_);
  // NOLINTNEXTLINE(cppcoreguidelines-owning-memory,cppcoreguidelines-no-malloc)
  std::free(response_);
}

std::span<const std::byte> SoftTpm::stored(TpmState state) const {
  const auto& staged = staged_.at(static_cast<std::size_t>(state));
  return staged ? std::span<const std::byte>(staged->get()) : shadow_.content(state);
}

bool SoftTpm::has_state_locked() const {
  return may_manufacture_ || !stored(TpmState::permanent).empty();
}

bool SoftTpm::has_state() const {
  const std::lock_guard lock(mutex_);
  return has_state_locked();
}

bool SoftTpm::is_untouched() const {
  const std::lock_guard lock(mutex_);
  return untouched_ || !seems_running();
}

bool SoftTpm::last_init_restored() const {
  const std::lock_guard lock(mutex_);
  return last_init_restored_;
}

bool SoftTpm::is_restored() const {
  const std::lock_guard lock(mutex_);
  return restored_;
}

TpmStateSizes SoftTpm::state_sizes_bytes() const {
  const std::lock_guard lock(mutex_);
  TpmStateSizes sizes{};
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    sizes.at(state) = stored(static_cast<TpmState>(state)).size();
  }
  return sizes;
}

bool SoftTpm::has_state_from_elsewhere() const {
  const std::lock_guard lock(mutex_);
  return restored_ || std::any_of(staged_.begin(), staged_.end(),
                                  [](const auto& state) { return state.has_value(); });
}

std::vector<SecretBytes> SoftTpm::states_that_were_set() const {
  const std::lock_guard lock(mutex_);
  std::vector<SecretBytes> states;
  for (const auto& state : staged_) {
    states.push_back(state ? SecretBytes(std::span<const std::byte>(state->get())) : SecretBytes());
  }
  return states;
}

void SoftTpm::replace_image() {
  const std::lock_guard lock(mutex_);
  shadow_.mark_all();
}

bool SoftTpm::matches(const std::vector<std::vector<std::byte>>& contents) const {
  const std::lock_guard lock(mutex_);
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    if (!shadow_.matches(static_cast<TpmState>(state), contents.at(state))) {
      return false;
    }
  }
  return true;
}

std::optional<std::span<const std::byte>> SoftTpm::execute(std::span<std::byte> command,
                                                           std::uint8_t locality,
                                                           const std::function<bool()>& may_run) {
  const std::lock_guard lock(mutex_);
  if (!may_run()) {
    return std::nullopt;
  }
  if (!running_ || failed_) {
    return failure_response();
  }
  untouched_ = false;
  locality_ = locality;
  std::uint32_t size_bytes = 0;
  const TpmResult result = TPMLIB_Process(&response_, &size_bytes, &response_capacity_bytes_,
                                          reinterpret_cast<unsigned char*>(command.data()),
                                          static_cast<std::uint32_t>(command.size()));
  if (result != tpm_success || size_bytes == 0) {
    return failure_response();
  }
  const auto response = std::as_bytes(std::span<const unsigned char>(response_, size_bytes));
  orderly_shutdown_.ran(command, response, shadow_.revision(TpmState::permanent));
  return response;
}

std::span<const std::byte> SoftTpm::failure_response() const {
  return version_ == TpmVersion::tpm2_0 ? failure_tpm2 : failure_tpm12;
}

std::span<const std::byte> SoftTpm::wrong_size_response() const {
  return version_ == TpmVersion::tpm2_0 ? wrong_size_tpm2 : wrong_size_tpm12;
}

bool SoftTpm::has_changes() const {
  const std::lock_guard lock(mutex_);
  return shadow_.has_changes();
}

bool SoftTpm::has_changes_to_keep() const {
  const std::lock_guard lock(mutex_);
  return has_changes_to_keep_locked();
}

SoftTpm::Changes SoftTpm::take_changes() {
  const std::lock_guard lock(mutex_);
  return {shadow_.take_changes(), std::exchange(restored_, false)};
}

TpmResult SoftTpm::cancel() {
  // Without the lock, which the command that is to be cancelled holds.
  if (!running_) {
    return seems_running() ? tpm_success : tpm_bad_ordinal;
  }
  return TPMLIB_CancelCommand();
}

TpmResult SoftTpm::established(bool& bit) {
  const std::lock_guard lock(mutex_);
  bit = false;
  if (!running_) {
    return seems_running() ? tpm_success : tpm_bad_ordinal;
  }
  TPM_BOOL value = 0;
  const TpmResult result = TPM_IO_TpmEstablished_Get(&value);
  bit = value != 0;
  return result;
}

TpmResult SoftTpm::reset_established(std::uint8_t locality) {
  const std::lock_guard lock(mutex_);
  if (!running_) {
    return seems_running() ? tpm_success : tpm_bad_ordinal;
  }
  locality_ = locality;
  return TPM_IO_TpmEstablished_Reset();
}

TpmResult SoftTpm::hash_start() {
  const std::lock_guard lock(mutex_);
  if (!running_) {
    return seems_running() ? tpm_success : tpm_bad_ordinal;
  }
  return TPM_IO_Hash_Start();
}

TpmResult SoftTpm::hash_data(std::span<const std::byte> data) {
  const std::lock_guard lock(mutex_);
  if (!running_) {
    return seems_running() ? tpm_success : tpm_bad_ordinal;
  }
  return TPM_IO_Hash_Data(reinterpret_cast<const unsigned char*>(data.data()),
                          static_cast<std::uint32_t>(data.size()));
}

TpmResult SoftTpm::hash_end() {
  const std::lock_guard lock(mutex_);
  if (!running_) {
    return seems_running() ? tpm_success : tpm_bad_ordinal;
  }
  return TPM_IO_Hash_End();
}

TpmResult SoftTpm::store_volatile() {
  std::vector<std::byte> blob;
  const TpmResult result = get_state(TpmState::volatile_state, blob);
  const std::lock_guard lock(mutex_);
  if (!running_) {
    return seems_running() ? tpm_success : tpm_bad_ordinal;
  }
  if (result != tpm_success) {
    return result;
  }
  return shadow_.store(TpmState::volatile_state, blob) ? tpm_success : tpm_fail;
}

TpmResult SoftTpm::get_state(TpmState state, std::vector<std::byte>& blob) {
  const std::lock_guard lock(mutex_);
  if (!running_ && initialised_) {
    return tpm_fail; // Its state is what libtpms refused: it must not travel.
  }
  if (!running_ || state == TpmState::save_state) {
    const auto content = stored(state);
    blob.assign(content.begin(), content.end());
    return tpm_success;
  }
  unsigned char* data = nullptr;
  std::uint32_t length_bytes = 0;
  const TpmResult result = state == TpmState::volatile_state
                               ? TPMLIB_VolatileAll_Store(&data, &length_bytes)
                               : TPMLIB_GetState(libtpms_state(state), &data, &length_bytes);
  const LibtpmsPointer<unsigned char> owner(data);
  if (result == tpm_success) {
    const auto content = std::as_bytes(std::span<const unsigned char>(data, length_bytes));
    blob.assign(content.begin(), content.end());
  }
  return result;
}

TpmResult SoftTpm::check_set_state(std::uint64_t length_bytes) const {
  const std::lock_guard lock(mutex_);
  if (running_) {
    return tpm_bad_ordinal;
  }
  return length_bytes > blob_size_max_bytes ? tpm_bad_parameter_size : tpm_success;
}

TpmResult SoftTpm::set_state(TpmState state, std::vector<std::byte> blob) {
  if (const TpmResult allowed = check_set_state(blob.size()); allowed != tpm_success) {
    return allowed;
  }
  const std::lock_guard lock(mutex_);
  auto& staged = staged_.at(static_cast<std::size_t>(state));
  if (blob.empty()) {
    if (state == TpmState::permanent) {
      return tpm_bad_parameter; // No TPM is without permanent state.
    }
    staged.emplace();
    return tpm_success;
  }
  auto before = std::exchange(staged, SecretBytes(std::move(blob)));
  const TpmResult result = TPMLIB_ValidateState(libtpms_state(state), 0);
  if (result != tpm_success) {
    staged = std::move(before);
  }
  return result;
}

TpmResult SoftTpm::set_buffer_size(std::uint32_t wanted_bytes, BufferSize& size) {
  const std::lock_guard lock(mutex_);
  if (wanted_bytes != 0 && running_) {
    return tpm_bad_ordinal;
  }
  size.size_bytes = TPMLIB_SetBufferSize(wanted_bytes, &size.min_bytes, &size.max_bytes);
  return tpm_success;
}

std::string SoftTpm::info(std::uint64_t flags) {
  constexpr std::uint64_t flags_known =
      TPMLIB_INFO_TPMSPECIFICATION | TPMLIB_INFO_TPMATTRIBUTES | TPMLIB_INFO_TPMFEATURES;
  const std::lock_guard lock(mutex_);
  const LibtpmsPointer<char> text(
      TPMLIB_GetInfo(static_cast<TPMLIB_InfoFlags>(flags & flags_known)));
  return text ? std::string(text.get()) : std::string("{}");
}

} // namespace vnvram
