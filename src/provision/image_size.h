// How large an image and its ring must be.
#pragma once

#include <cstdint>
#include <span>

#include "vnvram/blob.h"
#include "vnvram/result.h"

namespace vnvram {

inline constexpr std::uint32_t ring_block_count_min = 4;
/// A little less than half of the smallest image that is recommended, of 4 MiB: with a TPM 2.0 in
/// it there must be room for OVMF's variable store and an EEPROM of 8 KiB.
inline constexpr std::uint32_t ring_block_count_default = 496;

struct ImageNeeds {
  std::uint32_t ring_block_count = 0; ///< The smallest ring for these blobs.
  std::uint64_t page_count = 0;
  std::uint32_t entry_size_bytes = 8; ///< What the image keeps for each page: see Geometry.
};

/// invalid_argument for a spec that no image could hold. `ring_block_count_least`: never a smaller
/// ring.
Result<ImageNeeds> image_needs(std::span<const BlobSpec> blobs,
                               std::uint32_t ring_block_count_least, bool encrypted);

/// The ring of an image of this size: what the blobs need, more where there is room to spare.
[[nodiscard]] std::uint32_t choose_ring(const ImageNeeds& needs, std::uint64_t image_block_count);

} // namespace vnvram
