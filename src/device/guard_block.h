// The first block of a file or device that an image lies behind, for whoever else would take it for
// its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vnvram/block_device.h"

namespace vnvram {

inline constexpr std::size_t guard_size_bytes = block_size_bytes;

/// swtpm formats what it is told to keep a TPM in unless its own mark is there, whatever is in it,
/// and even if it was only asked what there is. A guard block begins with swtpm's mark and a
/// version that none knows: each refuses it and changes nothing. Behind it the image is as on any
/// device; open_device() passes over the block by itself. docs/format.md has its layout.
struct GuardBlock {
  enum class State {
    none, ///< No guard block.
    whole,
    /// Its first 8 bytes are zero: `swtpm_setup --overwrite` asks for a new TPM like that. What is
    /// behind it is what it was: an image, or one that was not complete.
    reset_requested,
    /// There is no image yet: what swtpm had there is being taken over, from where it is kept.
    taking_over,
  };
  State state = State::none;
  std::uint64_t image_size_bytes = 0; ///< 0: to the end of the device.
  /// What swtpm had there, as it was: its first so many bytes. 0: nothing is kept.
  std::uint64_t kept_offset_bytes = 0;
  std::uint64_t kept_size_bytes = 0;
};

/// What begins so. Fewer bytes than a block: none. The numbers are what the block says: anybody may
/// have written them. No bit that rots makes "taking over" of "whole".
[[nodiscard]] GuardBlock read_guard(std::span<const std::byte> beginning);

/// To be written, durably, before anything behind it is. `block` is one block; `guard` is whole or
/// taking_over.
void write_guard(const GuardBlock& guard, std::span<std::byte> block);

} // namespace vnvram
