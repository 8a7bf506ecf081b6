// Superblocks: a new store's first one, and what a block that should hold one is.
#pragma once

#include <cstdint>
#include <span>

#include "format/geometry.h"
#include "format/layout.h"
#include "vnvram/result.h"

namespace vnvram::format {

/// Of a new store with an identity of its own, whose first epoch begins; nothing of it is proven by
/// a check yet. io without random bytes.
/// Encrypted if its geometry is.
Result<Superblock> first_superblock(const Geometry& geometry);

/// What a block that should hold a superblock turned out to be.
enum class SuperblockState {
  valid,
  zero,     ///< All bytes are zero.
  no_magic, ///< Something else, or too damaged to tell.
  damaged,  ///< Ours by its magic; checksum or copy number is wrong.
  bogus,    ///< Its checksum fits, and what it says cannot be: no rot and no tear made that.
  too_new,  ///< A later format, or a feature that a reader must know and we do not.
};

struct CheckedSuperblock {
  SuperblockState state = SuperblockState::zero;
  const char* reason = ""; ///< For damaged, bogus and too_new: what is wrong.
  Superblock superblock{}; ///< Meaningful for valid; as found on the device otherwise.
};

/// Checks every field. Fields of a later version are not looked at once that is known.
[[nodiscard]] CheckedSuperblock check_superblock(std::span<const std::byte, block_size_bytes> block,
                                                 unsigned copy);

/// Whether the key of the image is needed to read what the superblock leads to.
[[nodiscard]] bool is_encrypted(const Superblock& superblock);

[[nodiscard]] Geometry geometry_of(const Superblock& superblock);

/// What a store is made with, and keeps, is the same in both.
[[nodiscard]] bool same_store(const Superblock& a, const Superblock& b);

/// Why these two valid copies cannot be of one image, `current` being the one with the higher
/// sequence; nullptr if they can.
[[nodiscard]] const char* contradiction(const Superblock& current, const Superblock& other);

/// The counter that is too near its end for anything to be written; nullptr: none. `generation` is
/// that of the newest record.
[[nodiscard]] const char* worn_counter(const Superblock& superblock, std::uint64_t generation);

} // namespace vnvram::format
