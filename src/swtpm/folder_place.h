// dir=FOLDER: the image is where swtpm would have the permanent state.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "swtpm/taken_over_states.h"
#include "tpm/image_place.h"

namespace vnvram {

/// By the very name of swtpm's permanent state: that is what `swtpm_setup --overwrite` removes for
/// a new TPM, and what swtpm itself, started by mistake, refuses and leaves alone. Under any other
/// name it would see no TPM there, and make one.
///
/// A state of swtpm's that is there is taken over, whole or not at all: until the image has its
/// name the old state has it, and it is kept by another one. An empty folder gets a new TPM.
class FolderPlace final : public ImagePlace {
public:
  /// `mode`: of the image; nothing: as the state that it takes over, or 0640.
  FolderPlace(std::string folder, std::optional<mode_t> mode, PlaceSetup setup);

  /// Takes swtpm's lock of the folder, too. Errors: absent (no such folder), in_use (swtpm, or
  /// another one of us, has it), corrupt (what is there is empty, or damaged), those of taking a
  /// state over and of create_image_file().
  Result<std::string> enter() override;
  void leave() override { lock_.reset(); }

private:
  enum class Found { nothing, image, state };

  Status lock();
  Status provide();
  Result<Found> look() const;
  Status make_new() const;
  Status take_over() const;
  Status put_others_aside() const;
  Status make_image(TpmImageRecipe::Contents contents, bool replaces) const;

  std::string folder_;
  std::optional<mode_t> mode_;
  PlaceSetup setup_;
  std::string image_path_;
  UniqueFd lock_;
};

} // namespace vnvram
