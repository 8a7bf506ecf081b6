#include "format/superblock.h"

#include <algorithm>
#include <cstring>

#include "base/barrier.h"
#include "format/checksum.h"

namespace vnvram::format {

namespace {

std::uint64_t superblock_checksum(const Superblock& superblock) {
  return checksum(std::as_bytes(std::span(&superblock, 1)).first(offsetof(Superblock, checksum)),
                  0);
}

bool text_ends(std::span<const char> field) {
  return field.back() == '\0';
}

const char* field_error(const Superblock& superblock) {
  const Geometry geometry = geometry_of(superblock);
  if (superblock.ring_start_block != ring_start_block ||
      superblock.entry_size_bytes != entry_size_bytes || !geometry.valid() ||
      superblock.zones_start_block != geometry.zones_start_block()) {
    return "impossible geometry";
  }
  if (superblock.ring_position >= superblock.ring_block_count) {
    return "ring position beyond the ring";
  }
  if (std::max({superblock.sequence, superblock.epoch_number, superblock.generation}) >
      counter_max) {
    return "a counter at its end";
  }
  if (superblock.clean > 1 || superblock.reserved_0 != 0 || !all_zero(superblock.reserved)) {
    return "reserved bytes are not zero";
  }
  if (!text_ends(superblock.owner_host) || !text_ends(superblock.creator)) {
    return "unterminated text";
  }
  return nullptr;
}

} // namespace

void seal_superblock(Superblock& superblock, unsigned copy) {
  superblock.magic = superblock_magic;
  superblock.format_version = format_version;
  superblock.copy = copy;
  superblock.checksum = superblock_checksum(superblock);
}

CheckedSuperblock check_superblock(std::span<const std::byte, block_size_bytes> block,
                                   unsigned copy) {
  CheckedSuperblock checked;
  std::memcpy(&checked.superblock, block.data(), sizeof(Superblock));
  const Superblock& superblock = checked.superblock;
  if (all_zero(block)) {
    checked.state = SuperblockState::zero;
  } else if (superblock.magic != superblock_magic) {
    checked.state = SuperblockState::no_magic;
  } else if (kept(Barrier::superblock_checksum) &&
             superblock_checksum(superblock) != superblock.checksum) {
    checked.state = SuperblockState::damaged;
    checked.reason = "checksum mismatch";
  } else if (superblock.format_version != format_version) {
    checked.state = superblock.format_version > format_version ? SuperblockState::too_new
                                                               : SuperblockState::damaged;
    checked.reason = "format version";
  } else if ((superblock.features_must_know & ~features_known) != 0) {
    checked.state = (superblock.features_must_know & feature_encrypted) != 0
                        ? SuperblockState::encrypted
                        : SuperblockState::too_new;
    checked.reason = "unknown feature";
  } else if (superblock.copy != copy) {
    checked.state = SuperblockState::damaged;
    checked.reason = "the other copy is in its place";
  } else if (const char* reason = field_error(superblock); reason != nullptr) {
    checked.state = SuperblockState::bogus;
    checked.reason = reason;
  } else {
    checked.state = SuperblockState::valid;
  }
  return checked;
}

Geometry geometry_of(const Superblock& superblock) {
  return {superblock.image_block_count, superblock.ring_block_count};
}

const char* contradiction(const Superblock& current, const Superblock& other) {
  if (current.uuid != other.uuid || current.salt != other.salt) {
    return "it is of another store";
  }
  if (current.ring_block_count != other.ring_block_count) {
    return "its ring is of another size";
  }
  // All of them only ever rise, and each write takes the next sequence.
  if (other.sequence == current.sequence) {
    return "both have the same sequence";
  }
  if (other.epoch_number > current.epoch_number || other.generation > current.generation ||
      other.image_block_count > current.image_block_count) {
    return "it is older by its sequence, and newer by what it says";
  }
  return nullptr;
}

const char* worn_counter(const Superblock& superblock, std::uint64_t generation) {
  return superblock.sequence >= counter_writable_max       ? "sequence"
         : superblock.epoch_number >= counter_writable_max ? "epoch"
         : generation >= counter_writable_max              ? "generation"
                                                           : nullptr;
}

} // namespace vnvram::format
