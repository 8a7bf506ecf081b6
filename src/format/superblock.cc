#include "format/superblock.h"

#include <algorithm>
#include <cstring>

#include <fmt/core.h>

#include "base/random_bytes.h"
#include "format/all_zero.h"
#include "format/codec.h"
#include "vnvram/version.h"

namespace vnvram::format {

namespace {

bool text_ends(std::span<const char> field) {
  return field.back() == '\0';
}

const char* field_error(const Superblock& superblock) {
  const bool encrypted = is_encrypted(superblock);
  const Geometry geometry = geometry_of(superblock);
  if (superblock.ring_start_block != ring_start_block ||
      superblock.entry_size_bytes != geometry.entry_size_bytes() || !geometry.valid() ||
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
  if ((superblock.features_must_know & feature_sealed) == 0 && !all_zero(superblock.hand_over)) {
    return "a hand-over without a seal";
  }
  if (superblock.clean != 0 && superblock.claim != 0) {
    return "a claim of what was closed";
  }
  if (encrypted ? !all_zero(std::as_bytes(std::span(superblock.index_entries)))
                : !all_zero(std::as_bytes(std::span(superblock.sealed_entries))) ||
                      !all_zero(superblock.key_id) || !all_zero(superblock.mac)) {
    return "fields of another kind of image are not zero";
  }
  if (!text_ends(superblock.owner_host) || !text_ends(superblock.creator)) {
    return "unterminated text";
  }
  return nullptr;
}

} // namespace

Result<Superblock> first_superblock(const Geometry& geometry) {
  Superblock dice{};
  const Status random = random_bytes(std::as_writable_bytes(std::span(&dice, 1)));
  if (!random) {
    return random.error();
  }
  // Of all that randomness only these stay: identity, salt, and where the epoch and the chain
  // begin.
  Superblock superblock{};
  superblock.uuid = dice.uuid;
  superblock.uuid[6] = (dice.uuid[6] & std::byte{0x0f}) | std::byte{0x40}; // RFC 4122, version 4
  superblock.uuid[8] = (dice.uuid[8] & std::byte{0x3f}) | std::byte{0x80};
  superblock.salt = dice.salt;
  superblock.epoch_random = dice.epoch_random;
  superblock.chain = dice.chain;
  superblock.epoch_number = 1;
  superblock.copy = 1; // so that the first one written is A
  superblock.image_block_count = geometry.image_block_count();
  superblock.ring_start_block = ring_start_block;
  superblock.ring_block_count = geometry.ring_block_count();
  superblock.zones_start_block = geometry.zones_start_block();
  superblock.entry_size_bytes = geometry.entry_size_bytes();
  superblock.features_must_know =
      geometry.entry_size_bytes() == sealed_entry_size_bytes ? feature_encrypted : 0;
  const std::string creator = fmt::format("vnvram {}", version());
  std::copy_n(creator.begin(), std::min(creator.size(), superblock.creator.size() - 1),
              superblock.creator.begin());
  return superblock;
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
  } else if (!Codec::proves(superblock)) {
    checked.state = SuperblockState::damaged;
    checked.reason = "checksum mismatch";
  } else if (superblock.format_version != format_version) {
    checked.state = superblock.format_version > format_version ? SuperblockState::too_new
                                                               : SuperblockState::damaged;
    checked.reason = "format version";
  } else if ((superblock.features_must_know & ~features_known) != 0) {
    checked.state = SuperblockState::too_new;
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

bool is_encrypted(const Superblock& superblock) {
  return (superblock.features_must_know & feature_encrypted) != 0;
}

Geometry geometry_of(const Superblock& superblock) {
  return {superblock.image_block_count, superblock.ring_block_count,
          is_encrypted(superblock) ? sealed_entry_size_bytes : plain_entry_size_bytes};
}

bool same_store(const Superblock& a, const Superblock& b) {
  return a.uuid == b.uuid && a.salt == b.salt && is_encrypted(a) == is_encrypted(b);
}

const char* contradiction(const Superblock& current, const Superblock& other) {
  if (!same_store(current, other)) {
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
