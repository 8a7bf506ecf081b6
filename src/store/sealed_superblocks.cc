#include "store/sealed_superblocks.h"

#include <algorithm>
#include <span>

#include "store/sealed_error.h"
#include "store/superblock_reader.h"
#include "store/unlock.h"

namespace vnvram {
namespace {

Block finished(const format::Codec& codec, format::Superblock superblock, unsigned copy) {
  codec.finish(superblock, copy);
  Block block{};
  std::ranges::copy(std::as_bytes(std::span(&superblock, 1)), block.begin());
  return block;
}

} // namespace

// As Sealing leaves them, who writes each in turn.
Result<SealedSuperblocks> sealed_superblocks(BlockDevice& device, const HandOverNumber& hand_over,
                                             const KeyRing& keys) {
  const Result<format::Superblock> current = find_superblock(device);
  const Result<format::Codec> codec =
      current ? unlock(device, *current, keys) : Result<format::Codec>(current.error());
  if (!codec) {
    return codec.error();
  }
  if ((current->features_must_know & format::feature_sealed) != 0) {
    return sealed_error(device.name(), current->generation, HandOverNumber{current->hand_over});
  }
  format::Superblock sealed = *current;
  sealed.features_must_know |= format::feature_sealed;
  sealed.hand_over = hand_over.bytes;
  SealedSuperblocks blocks{};
  ++sealed.sequence;
  blocks.at(1 - current->copy) = finished(*codec, sealed, 1 - current->copy);
  ++sealed.sequence;
  blocks.at(current->copy) = finished(*codec, sealed, current->copy);
  blocks.at(format::third_copy) = finished(*codec, sealed, format::third_copy);
  return blocks;
}

} // namespace vnvram
