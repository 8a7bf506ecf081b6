// An image at another place: the same image, block by block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/uuid.h"
#include "vnvram/block_device.h"
#include "vnvram/key_ring.h"
#include "vnvram/open_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// What is copied. Its owner may go on meanwhile: what is read is one generation, or is read again.
struct BlockCopySource {
  BlockDevice& device;
  /// Nothing of it changes from then on, for a while or until `let_go`; empty: its owner is not to
  /// be asked.
  std::function<Status()> hold = {};
  std::function<void()> let_go = {};
  /// Called before each reading of so many bytes; who waits in it holds the copy up. Its first
  /// error ends it.
  std::function<Status(std::size_t size_bytes)> before_read = {};
};

struct BlockCopyProgress {
  std::uint64_t done_bytes = 0;
  std::uint64_t all_bytes = 0;
  /// It is read once more, because it has changed: slowly it would change again.
  bool hurries = false;
};

struct BlockCopyTarget {
  std::string path;             ///< See create_image_file().
  std::uint64_t size_bytes = 0; ///< Of a new file; 0: what is there, or what the image needs.
  DeviceOptions device = {};    ///< The format and the key of what is made there.
  bool force = false;           ///< Write over what is there.
  /// Of an encrypted image: with them all of the copy is checked, and without them what everybody
  /// can see.
  KeyRing keys = {};
  /// Called as each reading begins, and for each piece that was read.
  std::function<void(const BlockCopyProgress&)> progress = {};
};

struct BlockCopyReport {
  Uuid uuid = {};
  std::uint64_t generation = 0; ///< Of the copy.
  std::uint64_t image_size_bytes = 0;
  bool encrypted = false;
  bool sealed = false;
  bool checked = false;  ///< All of its blocks are what vouches for them.
  unsigned readings = 0; ///< More than one: its owner has changed it meanwhile.
  bool held = false;     ///< For the last one.
  /// What is wrong with the source, and so with the copy, that nothing is lost by.
  std::vector<std::string> problems = {};
  /// The source lies behind a guard block, and the copy does not.
  bool guard_left_out = false;
};

/// Makes at the target the same image: uuid, generation, epoch, data key, key slots, public
/// metadata, seal. No key is needed. Of the log it has the records that count, and nothing behind
/// them. There is no superblock before all else is durable, so that it is no image when it is cut;
/// a file has its name when it is complete. What a device holds is not touched before the source is
/// known to be good (without a key: its log), and is another storage than the target; then nothing
/// of an image that was there is left. Who is held waits for the source alone, unless the image is
/// larger than 64 MiB: then for the target, too. Errors: those
/// of create_image_file(); blank, foreign, too_new; corrupt (the source is damaged, and there is no
/// copy then); stale (its owner is faster than it can be read); invalid_argument (both are one
/// storage); no_space (the target is shorter than the image).
Result<BlockCopyReport> copy_blocks(const BlockCopySource& source, const BlockCopyTarget& target);

} // namespace vnvram
