// dir=FOLDER: the image is where swtpm would have the permanent state.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "base/folder.h"
#include "base/unique_fd.h"
#include "swtpm/taken_over_states.h"
#include "tpm/image_place.h"

namespace vnvram {

/// By the very name of swtpm's permanent state: that is what `swtpm_setup --overwrite` removes for
/// a new TPM, and what swtpm itself, started by mistake, refuses and leaves alone. Under any other
/// name it would see no TPM there, and make one.
///
/// What leads to the folder is looked at once; all else is done in it, and follows no link there:
/// libvirt's belongs to the user that swtpm runs as, and we may be root.
///
/// A state of swtpm's that is there is taken over, whole or not at all: the image is made beside it
/// and takes its name when it is complete, and the old state is kept by another name. What is there
/// is never written to. An empty folder gets a new TPM.
class FolderPlace final : public ImagePlace {
public:
  /// `mode`: of the image; nothing: as the state that it takes over, or 0640.
  FolderPlace(std::string folder, std::optional<mode_t> mode, PlaceSetup setup);

  /// Takes swtpm's lock of the folder, too. Errors: absent (no such folder, or no image there any
  /// more), in_use (swtpm, or another one of us, has it), corrupt (what is there is empty, or
  /// damaged), foreign (no regular file), those of taking a state over and of making an image.
  Result<std::string> enter(Visit visit) override;
  Result<std::unique_ptr<BlockDevice>> open() override;
  [[nodiscard]] Status check() const override;
  void leave() override;

private:
  enum class Found { nothing, image, state };

  Status lock();
  Status provide(Visit visit);
  Result<Found> look() const;
  Status take_over() const;
  Status put_others_aside() const;
  Status set_mode() const;
  Status make_image(TpmImageRecipe::Contents contents) const;

  std::string path_;
  std::optional<mode_t> mode_;
  PlaceSetup setup_;
  std::string image_name_;
  std::string image_path_;
  std::optional<Folder> folder_; ///< While it is entered.
  UniqueFd lock_;
  UniqueFd image_; ///< As it was found there (O_PATH): to be known again.
};

} // namespace vnvram
