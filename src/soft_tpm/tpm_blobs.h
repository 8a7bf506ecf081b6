// The blobs that a software TPM keeps its state in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "vnvram/blob.h"
#include "vnvram/result.h"

namespace vnvram {

enum class TpmVersion { tpm1_2, tpm2_0 };

/// The three kinds of state that libtpms hands out, in the order of the control protocol's numbers.
enum class TpmState { permanent, volatile_state, save_state };
inline constexpr std::size_t tpm_state_count = 3;
/// In the order of TpmState.
using TpmStateSizes = std::array<std::uint64_t, tpm_state_count>;

/// The name of a state's blob, e.g. "tpm2.permanent". The text is static. Where an image has more
/// than one TPM a prefix, which is the TPM's own, is put before it: "guest2/tpm2.permanent".
[[nodiscard]] std::string_view tpm_blob_name(TpmVersion version, TpmState state);

/// Those of a TPM of either version. The name of a blob that is a TPM's ends with one of them.
[[nodiscard]] std::vector<std::string> tpm_blob_names();

/// The type of that blob, e.g. "libtpms.tpm2.permanent".
[[nodiscard]] std::string tpm_blob_type(TpmVersion version, TpmState state);

/// What `create --tpm2`, `register --tpm2` and the TPM itself register: the three blobs, in the
/// order of TpmState, at the largest sizes that libtpms says it can fill; where it does not say so,
/// at sizes with room to spare, beyond which a blob grows (see BlobRoom). Selects the version in
/// libtpms, so it must not be called while a TPM of the other version runs in this process.
[[nodiscard]] std::vector<BlobSpec> tpm_blob_specs(TpmVersion version,
                                                   const std::string& prefix = {});

/// Whether blobs' names may begin so, and have room for what comes behind. Errors:
/// invalid_argument.
[[nodiscard]] Status check_tpm_blobs_prefix(std::string_view prefix);

/// The longest command that the library takes for this version, which it selects, too.
[[nodiscard]] std::size_t tpm_command_max_bytes(TpmVersion version);

/// "libtpms 0.9.2": the library that this process runs with.
[[nodiscard]] std::string libtpms_producer();

} // namespace vnvram
