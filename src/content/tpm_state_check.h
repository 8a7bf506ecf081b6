// Whether bytes are the state of a software TPM.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "soft_tpm/tpm_blobs.h"
#include "vnvram/result.h"

namespace vnvram {

struct TpmStateType {
  TpmVersion version = TpmVersion::tpm2_0;
  TpmState state = TpmState::permanent;
};

/// Of a blob's type, e.g. "libtpms.tpm2.permanent"; nullopt for any other.
[[nodiscard]] std::optional<TpmStateType> tpm_state_of_type(std::string_view type);

/// libtpms' own judgement, of its own format; of a TPM 1.2's volatile state and save-state, which
/// it cannot judge alone, the beginning. These two may be empty: there is none then. `source` is
/// for messages. For one thread at a time, in a process in which no TPM runs. Errors:
/// invalid_argument, with a word on what the bytes are instead; too_new (a later libtpms has made
/// them, as this one says).
Status check_tpm_state(const TpmStateType& type, std::span<const std::byte> bytes,
                       const std::string& source);

/// All states of one TPM, in the order of TpmState; no bytes: there is none. Each by itself, and
/// that libtpms starts with them together. The same errors.
Status check_tpm_states(TpmVersion version, const std::vector<std::vector<std::byte>>& states,
                        const std::string& source);

} // namespace vnvram
