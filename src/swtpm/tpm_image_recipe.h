// How an image is made that holds one TPM and nothing else.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "soft_tpm/tpm_blobs.h"
#include "vnvram/key.h"
#include "vnvram/result.h"
#include "vnvram/store.h"

namespace vnvram {

/// As small as it can be: there is one in each machine's folder, and folders are on small disks. No
/// commit in it fails for space, as all that this libtpms can ever need is reserved.
class TpmImageRecipe {
public:
  /// By TpmState; nothing: it was never written.
  using Contents = std::array<std::optional<std::vector<std::byte>>, tpm_state_count>;

  /// With a key the image is encrypted, and this opens it.
  TpmImageRecipe(TpmVersion version, std::optional<KeySource> key)
      : version_(version), key_(std::move(key)) {}

  [[nodiscard]] TpmVersion version() const { return version_; }
  /// For a TPM that begins with these states; without any it is a new one.
  [[nodiscard]] Result<CreateOptions> options(Contents contents = {}) const;
  /// The smallest image that these options can be of. Errors: those of required_size_bytes().
  [[nodiscard]] static Result<std::uint64_t> size_bytes(const CreateOptions& options);

  /// Overwrites the states in these options, and everything else that they begin with.
  static void wipe(CreateOptions& options);

private:
  TpmVersion version_;
  std::optional<KeySource> key_;
};

} // namespace vnvram
