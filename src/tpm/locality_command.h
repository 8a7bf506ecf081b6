// The command that Linux's vTPM proxy sends before others: it is for who runs the TPM.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "soft_tpm/tpm_blobs.h"

namespace vnvram {

/// The locality that it asks for; nothing: it is a command for the TPM, or too short.
std::optional<std::uint8_t> locality_asked_for(std::span<const std::byte> command);

using LocalityResponse = std::array<std::byte, 10>;
/// Whether it is the locality of the commands that follow.
LocalityResponse locality_response(TpmVersion version, bool is_set);

} // namespace vnvram
