// An image in a new file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/folder.h"
#include "device/image_format.h"
#include "provision/image_creator.h"
#include "provision/new_file.h"
#include "vnvram/result.h"
#include "vnvram/store.h"

namespace vnvram {

struct NewImageFile {
  std::string target;             ///< Not by way of a link: that would be replaced.
  const Folder* folder = nullptr; ///< The target's, if it is open already.
  ImageFormat format = ImageFormat::raw;
  std::optional<FileRights> rights = {}; ///< Nothing: for this user only.
  bool replaces = false;                 ///< A file that has the name, and is to lose it.
  RightsWhenMade rights_when_made = {};
  std::uint64_t size_bytes = 0;
  MakeImage make = create_image;
};

/// The format that is asked for, or else what is there, or what the name's ending says.
Result<ImageFormat> choose_format(const std::string& path, ImageFormat there,
                                  const CreateOptions& options);

/// Complete and durable before it has its name, and never in place: what has the name until then is
/// not written to. `forbidden`: see NewFile. Errors: those of create_image(); no_space, read_only,
/// io.
Status create_new_image_file(const NewImageFile& image, const CreateOptions& options,
                             bool& forbidden);

} // namespace vnvram
