// From an image to what a TPM starts with.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "soft_tpm/soft_tpm.h"
#include "soft_tpm/tpm_blobs.h"
#include "tpm/image_trouble.h"
#include "tpm/log.h"
#include "vnvram/result.h"
#include "vnvram/store.h"

namespace vnvram {

struct TpmImage {
  std::shared_ptr<ImageTrouble> trouble; ///< Of the store, which notes it.
  std::unique_ptr<Store> store;
  TpmVersion version = TpmVersion::tpm2_0;
  std::vector<BlobSpec> specs; ///< In the order of TpmState, as the image has them.
  std::vector<std::vector<std::byte>> contents; ///< In the same order.
  /// Allowed only if the permanent blob was registered and never written.
  Manufacture manufacture = Manufacture::forbidden;
};

/// Opens the image, takes its locks and reads the TPM's blobs. The version is the one whose blobs
/// are there; if both are, the caller has to choose. Larger sizes that this libtpms needs are
/// registered (unless the image is sealed, which is accepted only if asked for); missing blobs are
/// not. Errors: those of Store::open and Store::read; not_found (no
/// TPM's blobs, or not all of them); invalid_argument (a choice is needed); corrupt (state that was
/// written once and is empty now). The log, which outlives the store, is told what fails in the
/// background.
Result<TpmImage> open_tpm_image(const std::string& path, std::optional<TpmVersion> version,
                                bool accept_sealed, const DeviceOptions& device_options,
                                const Log& log);
/// The same on a device that is open; `path` is for messages.
Result<TpmImage> open_tpm_image(std::unique_ptr<BlockDevice> device, const std::string& path,
                                std::optional<TpmVersion> version, bool accept_sealed,
                                const Log& log);

} // namespace vnvram
