// What a TPM makes its endorsement keys of, beside its seed.
#pragma once

#include <cstddef>
#include <vector>

#include "identity/endorsement.h"

namespace vnvram {

/// The TPMT_PUBLIC of the TCG's EK Credential Profile for such a key; a TPM makes the same key of
/// it each time. swtpm_setup takes another one with --allow-signing.
[[nodiscard]] std::vector<std::byte> endorsement_template(const EndorsementKind& kind);

} // namespace vnvram
