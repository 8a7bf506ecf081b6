// An image as another one: encrypted, or not any more.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "vnvram/block_device.h"
#include "vnvram/key.h"
#include "vnvram/open_device.h"
#include "vnvram/result.h"
#include "vnvram/store.h"

namespace vnvram {

/// What is made of an image.
struct CopyTarget {
  std::string path;          ///< See create_image_file(). The image's own: it takes its place.
  DeviceOptions device = {}; ///< The format and the key of what is made there.
  bool force = false;        ///< Write over what is there.
  std::vector<NewKeySlot> key_slots = {}; ///< Who can open it; without them it is plain.
  /// Called now and then.
  std::function<void(std::uint64_t done_bytes, std::uint64_t all_bytes)> progress = {};
};

/// Makes an image with the same blobs, contents, seal and public metadata at the target, while
/// `source` has its own open for writing, so that nobody else has. It has a uuid of its own. A file
/// that is to take its own image's place is made beside it, and has its name, owner and mode when
/// it is complete and durable; what was there before is unlinked then, and not overwritten. Errors:
/// those of create_image_file() and of reading.
Status copy_image(Store& source, const std::string& source_path, const CopyTarget& target);

} // namespace vnvram
