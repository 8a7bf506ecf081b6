// backend-uri=file://FILE: the image is in a file or on a device, behind a guard block.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "device/file_device.h"
#include "device/guard_block.h"
#include "swtpm/taken_over_states.h"
#include "tpm/image_place.h"

namespace vnvram {

/// What is blank, as far as anybody could see, gets a new TPM. A linear file of swtpm's is taken
/// over, whole or not at all: what was there is kept at the place's end until the image is
/// complete, and afterwards, so that a cut at any point leads to the one or the other. Anything
/// else is refused and left as it is. A guard block, or a linear file, whose mark is zeroed asks
/// for a new TPM, and gets one.
///
/// An image that begins at the first byte, as `vnvram create` makes it, is used as it is.
class FilePlace final : public ImagePlace {
public:
  /// `mode`: of a file that is made; nothing: 0640.
  FilePlace(std::string path, std::optional<mode_t> mode, PlaceSetup setup)
      : path_(std::move(path)), mode_(mode), setup_(std::move(setup)) {}

  /// A file that is missing is made. Errors: in_use; exists (it holds something else); absent (no
  /// such folder); no_space; those of taking a state over and of create_image().
  Result<std::string> enter(Visit visit) override;
  [[nodiscard]] Status check() const override;
  void leave() override { lock_.reset(); }

private:
  using Bytes = std::vector<std::byte>;

  Status lock();
  Status provide(Visit visit);
  Status make_new(std::unique_ptr<FileDevice> device);
  Status take_over(std::unique_ptr<FileDevice> device, const Bytes& beginning);
  Status go_on(std::unique_ptr<FileDevice> device, const GuardBlock& guard);
  Status make_image(std::unique_ptr<FileDevice> device, GuardBlock guard,
                    TpmImageRecipe::Contents contents);
  Result<TpmImageRecipe::Contents> states_in(BlockDevice& device, std::uint64_t offset_bytes,
                                             std::uint64_t size_bytes) const;

  std::string path_;
  std::optional<mode_t> mode_;
  PlaceSetup setup_;
  bool is_made_ = false; ///< The file, by the last enter().
  UniqueFd lock_;        ///< While it is decided what is there, and while the image is open.
};

} // namespace vnvram
