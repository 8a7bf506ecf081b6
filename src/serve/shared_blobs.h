// What may be on an image that the other host of a migration sees as well.
#pragma once

#include <string>
#include <vector>

#include "vnvram/blob.h"
#include "vnvram/result.h"

namespace vnvram {

/// QEMU's device at the destination reads its blob when it is made, before the source has let go.
/// If QEMU's stream carries the content nothing of that stays; a device of which it does not would
/// write what it has read then over what was answered since. So only those blobs are taken that are
/// known to come with the stream, a TPM's and UEFI's variables. Error: unsupported.
Status check_shared_blob(const std::string& location, const std::string& name,
                         const std::string& type);
[[nodiscard]] bool is_tpm_type(const std::string& type);
/// Of the first that may not be there.
Status check_shared_blobs(const std::string& location, const std::vector<BlobInfo>& blobs);

} // namespace vnvram
