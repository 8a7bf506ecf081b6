#include "soft_tpm/libtpms_callbacks.h"

#include <cassert>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include <libtpms/tpm_library.h>
// After it: tpm_error.h does not include what it needs.
#include <libtpms/tpm_error.h>
#include <libtpms/tpm_nvfilename.h>

namespace vnvram {
namespace {

// libtpms itself is one TPM for each process, in globals of its own.
SoftTpm* the_tpm = nullptr;

std::optional<TpmState> state_of(const char* name) {
  const std::string_view text = name;
  if (text == TPM_PERMANENT_ALL_NAME) {
    return TpmState::permanent;
  }
  if (text == TPM_VOLATILESTATE_NAME) {
    return TpmState::volatile_state;
  }
  if (text == TPM_SAVESTATE_NAME) {
    return TpmState::save_state;
  }
  return std::nullopt;
}

void choose_version(TpmVersion version) {
  TPMLIB_ChooseTPMVersion(version == TpmVersion::tpm2_0 ? TPMLIB_TPM_VERSION_2
                                                        : TPMLIB_TPM_VERSION_1_2);
}

TPM_RESULT on_init() {
  return TPM_SUCCESS;
}

TPM_RESULT on_load(unsigned char** data, std::uint32_t* length, std::uint32_t /*tpm_number*/,
                   const char* name) {
  const auto state = state_of(name);
  return state ? SoftTpmCallbacks::load(*state, data, length) : TPM_FAIL;
}

TPM_RESULT on_store(const unsigned char* data, std::uint32_t length, std::uint32_t /*tpm_number*/,
                    const char* name) {
  const auto state = state_of(name);
  return state ? SoftTpmCallbacks::store(*state, std::as_bytes(std::span(data, length))) : TPM_FAIL;
}

TPM_RESULT on_delete(std::uint32_t /*tpm_number*/, const char* name, TPM_BOOL must_exist) {
  const auto state = state_of(name);
  if (!state) {
    return must_exist != 0 ? TPM_FAIL : TPM_SUCCESS;
  }
  return SoftTpmCallbacks::erase(*state);
}

TPM_RESULT on_locality(TPM_MODIFIER_INDICATOR* locality, std::uint32_t /*tpm_number*/) {
  *locality = SoftTpmCallbacks::locality();
  return TPM_SUCCESS;
}

TPM_RESULT on_physical_presence(TPM_BOOL* present, std::uint32_t /*tpm_number*/) {
  *present = 0;
  return TPM_SUCCESS;
}

} // namespace

SoftTpm* SoftTpmCallbacks::attach(SoftTpm& tpm) {
  assert(the_tpm == nullptr || the_tpm->is_off());
  SoftTpm* const before = std::exchange(the_tpm, &tpm);
  choose_version(tpm.version());
  libtpms_callbacks callbacks{};
  callbacks.sizeOfStruct = sizeof(callbacks);
  callbacks.tpm_nvram_init = on_init;
  callbacks.tpm_nvram_loaddata = on_load;
  callbacks.tpm_nvram_storedata = on_store;
  callbacks.tpm_nvram_deletename = on_delete;
  callbacks.tpm_io_init = on_init;
  callbacks.tpm_io_getlocality = on_locality;
  callbacks.tpm_io_getphysicalpresence = on_physical_presence;
  TPMLIB_RegisterCallbacks(&callbacks);
  return before;
}

void SoftTpmCallbacks::detach(SoftTpm* before) {
  the_tpm = before;
  if (before != nullptr) {
    choose_version(before->version());
  }
}

TpmResult SoftTpmCallbacks::load(TpmState state, unsigned char** data,
                                 std::uint32_t* length_bytes) {
  const auto content = the_tpm->stored(state);
  if (content.empty()) {
    // "Retry" means "there is none", and none of the permanent state makes libtpms manufacture a
    // TPM.
    const bool missing = state == TpmState::permanent && !the_tpm->may_manufacture_;
    return missing ? TPM_FAIL : TPM_RETRY;
  }
  // libtpms frees it. Its own TPM_Malloc stops at 128 KiB, which a full TPM 2.0 exceeds.
  // NOLINTNEXTLINE(cppcoreguidelines-owning-memory,cppcoreguidelines-no-malloc)
  *data = static_cast<unsigned char*>(std::malloc(content.size()));
  if (*data == nullptr) {
    return TPM_SIZE;
  }
  std::memcpy(*data, content.data(), content.size());
  *length_bytes = static_cast<std::uint32_t>(content.size());
  return TPM_SUCCESS;
}

TpmResult SoftTpmCallbacks::store(TpmState state, std::span<const std::byte> content) {
  if (!the_tpm->shadow_.store(state, content)) {
    return TPM_SIZE;
  }
  return TPM_SUCCESS;
}

TpmResult SoftTpmCallbacks::erase(TpmState state) {
  if (state == TpmState::permanent && !the_tpm->shadow_.content(state).empty()) {
    // A TPM that loses its permanent state on its own account is not one that we offer.
    return TPM_FAIL;
  }
  the_tpm->shadow_.erase(state);
  return TPM_SUCCESS;
}

std::uint8_t SoftTpmCallbacks::locality() {
  return the_tpm->locality_;
}

} // namespace vnvram
