// An image goes on at another place, while its machine runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "backup/block_copy.h"
#include "backup/move_source.h"
#include "base/uuid.h"
#include "vnvram/hand_over.h"
#include "vnvram/result.h"

namespace vnvram {

struct MoveReport {
  Uuid uuid = {};
  std::string place;            ///< Where it is now, for its next owner, without a key.
  std::string from = {};        ///< Where it was, as its owner calls it.
  HandOverNumber number;        ///< That it is sealed for until somebody opens it.
  std::uint64_t generation = 0; ///< With which it goes on.
  std::uint64_t image_size_bytes = 0;
  bool encrypted = false;
  unsigned rounds = 0;          ///< Of copying, before changes were held.
  std::uint64_t held_bytes = 0; ///< That were copied then.
  /// Why it is not known whether it is there or still where it was: one of the two can be opened.
  std::optional<Error> undecided = {};
};

/// At the target there is the same image, as with copy_blocks(), that is sealed for a hand-over of
/// its own from its first moment on; it is kept like the other one, at a moment at which nothing
/// changes it has all of it, and then the other one is sealed for the same hand-over: that one
/// write decides. Whenever it is cut, exactly one of the two can be opened for writing, and has all
/// that was acknowledged. An error has left the image where it was, and takes away what was made.
/// What is damaged is as damaged there. Of `target` the keys are not used. A new file
/// has, before it has its name, the rights that the image's file has, without the bits beside them;
/// one that takes another one's place has those of that one. Errors: those of copy_blocks() and of
/// `source`.
Result<MoveReport> move_image(MoveSource& source, const BlockCopyTarget& target,
                              const std::function<Status(std::size_t size_bytes)>& before_read);

} // namespace vnvram
