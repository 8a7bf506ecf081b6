// From an image to what a TPM starts with.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/blob_client.h"
#include "soft_tpm/soft_tpm.h"
#include "soft_tpm/tpm_blobs.h"
#include "vnvram/result.h"

namespace vnvram {

/// Which one of an image's TPMs.
struct WantedTpm {
  std::optional<TpmVersion> version; ///< None: the only one that is there.
  std::string blobs_prefix = {};     ///< What the names of its blobs begin with (tpm_blob_name).
};

struct TpmImage {
  ImageState state; ///< As it was when all was read.
  TpmVersion version = TpmVersion::tpm2_0;
  std::vector<BlobSpec> specs; ///< In the order of TpmState, as the image has them.
  std::vector<std::vector<std::byte>> contents; ///< In the same order.
  std::vector<std::uint64_t> generations;       ///< The commits that last changed them.
  /// Allowed only if the permanent blob was registered and never written.
  Manufacture manufacture = Manufacture::forbidden;
};

/// Which TPM's blobs the client's image has; if it has those of both, the wanted version decides.
/// Errors: those of the client; not_found (none, or not all of them); invalid_argument (a choice
/// is needed).
Result<TpmVersion> find_tpm_version(BlobClient& client, const std::string& path,
                                    const WantedTpm& wanted);

/// Claims the TPM's blobs of the client's image, and reads them; `path` is for messages. The
/// version is the one whose blobs are there; if both are, the caller has to choose. Of a TPM whose
/// blobs begin with another prefix nothing is touched. Larger sizes
/// that this libtpms needs are registered (unless the image is sealed); missing blobs are not.
/// Errors: those of the client (in_use: another session writes one of them); not_found (no TPM's
/// blobs, or not all of them); invalid_argument (a choice is needed); corrupt (state that was
/// written once and is empty now).
Result<TpmImage> read_tpm_image(BlobClient& client, const std::string& path,
                                const WantedTpm& wanted);

} // namespace vnvram
