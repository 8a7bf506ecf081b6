// How large the TPM's blobs are on an image, and how much larger they may become there.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "client/blob_client.h"
#include "soft_tpm/tpm_blobs.h"
#include "vnvram/result.h"
#include "vnvram/transaction.h"

namespace vnvram {

/// libtpms does not say how large the state of a TPM 2.0 can be, and the state of another host's
/// TPM is as large as that host's libtpms makes it. So a blob is registered at a size that has room
/// to spare, and grows when that is not enough.
///
/// Holds what it has seen of an image when it was made; threads: none of its own.
class BlobRoom {
public:
  /// Of no image.
  BlobRoom() = default;
  /// `specs` of the TPM's blobs, as the image has them. Errors: those of BlobClient::state().
  static Result<BlobRoom> of(BlobClient& client, const std::vector<BlobSpec>& specs);

  /// Whether states of these sizes have room, all of them in one commit. Errors: no_space,
  /// too_large (for the image's log): what is too large for what, and what helps.
  [[nodiscard]] Status check(const TpmStateSizes& sizes_bytes) const;

private:
  std::array<std::string, tpm_state_count> names_;
  TpmStateSizes sizes_max_bytes_{};
  std::uint64_t space_free_bytes_ = 0;
  std::uint64_t commit_max_bytes_ = 0;
};

/// Commits what a TPM has changed. A blob that it makes larger than was registered is registered at
/// a larger size first. Returns what BlobClient::commit() does. Errors: those of register_blobs()
/// and commit().
[[nodiscard]] Result<std::uint64_t> commit_with_room(BlobClient& client,
                                                     const Transaction& transaction);

} // namespace vnvram
