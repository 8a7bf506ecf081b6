#include "store/unfinished_superblock.h"

#include <bit>
#include <cstring>

namespace vnvram {

using format::Superblock;

namespace {

using RawSuperblock = std::array<unsigned char, block_size_bytes>;

/// What the other copy holds when it says the same as the current one.
Superblock twin_of(const format::Codec& codec, const Superblock& current, std::uint64_t sequence) {
  Superblock twin = current;
  twin.sequence = sequence;
  codec.finish(twin, 1 - current.copy);
  return twin;
}

bool same_body(const Superblock& a, const Superblock& b) {
  return std::memcmp(&a, &b, offsetof(Superblock, checksum)) == 0;
}

unsigned differing_bits(const Superblock& a, const Superblock& b) {
  const auto left = std::bit_cast<RawSuperblock>(a);
  const auto right = std::bit_cast<RawSuperblock>(b);
  unsigned bits = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    bits += static_cast<unsigned>(std::popcount(static_cast<unsigned>(left[i] ^ right[i])));
  }
  return bits;
}

bool has_the_same_identity(const Superblock& a, const Superblock& b) {
  return a.magic == b.magic && a.format_version == b.format_version && same_store(a, b) &&
         a.ring_block_count == b.ring_block_count;
}

/// The first write there ever was goes over zeros.
bool is_begun_over_zeros(const Superblock& found, const Superblock& next) {
  const auto written = std::bit_cast<RawSuperblock>(found);
  const auto wanted = std::bit_cast<RawSuperblock>(next);
  for (std::size_t i = 0; i < written.size(); ++i) {
    if (written[i] != 0 && written[i] != wanted[i]) {
      return false;
    }
  }
  return true;
}

} // namespace

// While an owner is at work, any write of a superblock may be the one that was cut. In an image
// that was closed, it can only be the close's last one or the next opening's first: one of the two
// is known in full, and the other has the sequence that comes next.
bool may_be_unfinished(const format::Codec& codec, const Superblock& current,
                       const Superblock& found) {
  if (current.clean == 0) {
    return true;
  }
  const Superblock before = twin_of(codec, current, current.sequence - 1);
  const Superblock next = twin_of(codec, current, current.sequence + 1);
  // Its beginning is there and its end is not, or the other way round. First, because two sequences
  // may differ by one bit.
  if (same_body(found, next) || (same_body(found, before) && found.checksum == next.checksum)) {
    return true;
  }
  if (differing_bits(found, before) == 1 || differing_bits(found, next) == 1) {
    return false; // One flipped bit.
  }
  if (found.checksum == next.checksum || same_body(found, before)) {
    return true; // Of it and of what was there before.
  }
  if (current.epoch_number == 1 && is_begun_over_zeros(found, next)) {
    return true;
  }
  const bool is_next = found.sequence == next.sequence;
  const bool is_older = found.sequence == before.sequence && found.clean == 0;
  return has_the_same_identity(found, current) && found.copy == next.copy && (is_next || is_older);
}

} // namespace vnvram
