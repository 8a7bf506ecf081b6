// What a TPM has beside the states that it stores: what its power, or its process, ends.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/secret_bytes.h"
#include "soft_tpm/orderly_shutdown.h"
#include "soft_tpm/tpm_blobs.h"

namespace vnvram {

/// Together with what is stored it is all that another SoftTpm needs to go on.
struct RunningState {
  enum class Power {
    off,
    on,
    refused, ///< INIT was answered, and every command fails: libtpms has refused the state.
  };
  Power power = Power::off;
  SecretBytes volatile_state; ///< As libtpms says it, of one whose power is on.
  /// What was set for the next INIT.
  std::array<std::optional<SecretBytes>, tpm_state_count> coming;
  bool is_untouched = true; ///< SoftTpm::is_untouched().
  std::uint32_t buffer_size_bytes = 0;
  std::optional<OrderlyShutdown::Told> shutdown;
};

} // namespace vnvram
