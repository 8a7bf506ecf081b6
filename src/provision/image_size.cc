#include "provision/image_size.h"

#include <algorithm>
#include <vector>

#include <fmt/core.h>

#include "format/directory_entry.h"
#include "format/geometry.h"
#include "vnvram/store.h"

namespace vnvram {

using format::Geometry;

namespace {

constexpr std::uint32_t ring_block_count_useful = 8320; // two rewrites of the largest blob there is
constexpr std::uint64_t recommended_size_min_bytes = std::uint64_t{4} << 20U;

Error too_many(std::uint64_t block_count) {
  return {ErrorKind::invalid_argument,
          fmt::format("these blobs need an image of {} bytes, and {} is the largest",
                      block_count * block_size_bytes, image_size_max_bytes)};
}

// The table has an end. It is that of an encrypted image, since a plain one is at its largest size
// before.
Error too_many_pages(const ImageNeeds& needs, const Geometry& geometry) {
  return {ErrorKind::invalid_argument,
          fmt::format("these blobs need {} bytes, and an encrypted image holds {}",
                      needs.page_count * block_size_bytes, geometry.space_size_bytes()),
          "encrypt below the image: a LUKS device, or an encrypted VM image"};
}

/// In blocks: as asked for, or the least that is sensible.
Result<std::uint32_t> ring_for(const ImageNeeds& needs, std::uint64_t ring_size_bytes) {
  const std::uint64_t asked_blocks = ring_size_bytes / block_size_bytes;
  if (ring_size_bytes == 0) {
    return std::max(needs.ring_block_count, ring_block_count_default);
  }
  if (asked_blocks < needs.ring_block_count || ring_size_bytes > image_size_max_bytes) {
    return Error{ErrorKind::invalid_argument,
                 fmt::format("a ring of {} bytes: these blobs need {} to {}", ring_size_bytes,
                             std::uint64_t{needs.ring_block_count} * block_size_bytes,
                             image_size_max_bytes)};
  }
  return static_cast<std::uint32_t>(asked_blocks);
}

// Enough whether these blobs are there when the image is made, or are registered in one that was
// made empty and got the ring that an image of its size gets then.
std::uint64_t blocks_with_default_ring(const ImageNeeds& needs, std::uint32_t ring_block_count) {
  std::uint64_t blocks = 0;
  std::uint64_t enough =
      Geometry::blocks_for(ring_block_count, needs.page_count, needs.entry_size_bytes);
  while (enough > blocks) {
    blocks = enough; // Each step is an eighth of the one before.
    enough = Geometry::blocks_for(
        choose_ring({ring_block_count_default, 1, needs.entry_size_bytes}, blocks),
        needs.page_count, needs.entry_size_bytes);
  }
  return blocks;
}

} // namespace

Result<ImageNeeds> image_needs(std::span<const BlobSpec> blobs,
                               std::uint32_t ring_block_count_least, bool encrypted) {
  ImageNeeds needs;
  needs.entry_size_bytes =
      encrypted ? format::sealed_entry_size_bytes : format::plain_entry_size_bytes;
  needs.ring_block_count = ring_block_count_least;
  for (const BlobSpec& spec : blobs) {
    const Status checked = format::check_spec(spec);
    if (!checked) {
      return checked.error();
    }
    needs.page_count += (spec.size_max_bytes + block_size_bytes - 1) / block_size_bytes;
    needs.ring_block_count =
        std::max(needs.ring_block_count, 2 * Geometry::record_blocks_for(spec.size_max_bytes));
  }
  if (blobs.size() > blob_count_max) {
    return Error{ErrorKind::invalid_argument,
                 fmt::format("an image holds at most {} blobs", blob_count_max)};
  }
  const std::uint64_t directory_pages =
      std::max<std::uint64_t>(1, (blobs.size() + format::directory_entries_per_page - 1) /
                                     format::directory_entries_per_page);
  needs.page_count += directory_pages;
  // The set is registered in one record: all entries, and a link in each directory page.
  const std::uint64_t entries_bytes =
      blobs.size() * (sizeof(format::DirectoryEntry) + (4 * sizeof(format::RecordExtent)));
  needs.ring_block_count =
      std::max(needs.ring_block_count, 2 * Geometry::record_blocks_for(entries_bytes));
  return needs;
}

std::uint32_t choose_ring(const ImageNeeds& needs, std::uint64_t image_block_count) {
  const auto generous = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(image_block_count / 8, ring_block_count_useful));
  if (generous > needs.ring_block_count &&
      Geometry::blocks_for(generous, needs.page_count, needs.entry_size_bytes) <=
          image_block_count) {
    return generous;
  }
  return needs.ring_block_count;
}

Result<std::uint64_t> required_size_bytes(std::span<const BlobSpec> blobs,
                                          std::uint64_t ring_size_bytes, bool encrypted) {
  const Result<ImageNeeds> needs = image_needs(blobs, ring_block_count_min, encrypted);
  if (!needs) {
    return needs.error();
  }
  const Result<std::uint32_t> ring = ring_for(*needs, ring_size_bytes);
  if (!ring) {
    return ring.error();
  }
  const std::uint64_t blocks = ring_size_bytes == 0 ? blocks_with_default_ring(*needs, *ring)
                                                    : Geometry::blocks_for(*ring, needs->page_count,
                                                                           needs->entry_size_bytes);
  if (blocks * block_size_bytes > image_size_max_bytes) {
    return too_many(blocks);
  }
  if (const Geometry geometry(blocks, *ring, needs->entry_size_bytes);
      geometry.page_count() < needs->page_count) {
    return too_many_pages(*needs, geometry);
  }
  return std::max((blocks + format::third_copy_blocks_from_end) * block_size_bytes,
                  image_size_min_bytes);
}

Result<std::uint64_t> recommended_size_bytes(std::span<const BlobSpec> blobs,
                                             std::uint64_t ring_size_bytes, bool encrypted) {
  const Result<std::uint64_t> required = required_size_bytes(blobs, ring_size_bytes, encrypted);
  const Result<ImageNeeds> needs = image_needs(blobs, ring_block_count_min, encrypted);
  if (!required || !needs) {
    return required;
  }
  constexpr std::uint64_t step_blocks = (std::uint64_t{1} << 20U) / block_size_bytes;
  const std::uint64_t homes_blocks =
      Geometry::blocks_for(0, 2 * needs->page_count, needs->entry_size_bytes);
  Result<std::uint32_t> ring = ring_for(*needs, ring_size_bytes);
  if (ring && ring_size_bytes == 0) {
    // choose_ring() takes an eighth of the image when it can, and must not take it from the homes.
    const std::uint64_t eighth =
        ((homes_blocks + format::third_copy_blocks_from_end + step_blocks) / 7) + 1;
    *ring = std::max(*ring, static_cast<std::uint32_t>(
                                std::min<std::uint64_t>(eighth, ring_block_count_useful)));
  }
  if (!ring) {
    return ring.error();
  }
  const std::uint64_t blocks = homes_blocks + *ring + format::third_copy_blocks_from_end;
  const std::uint64_t rounded =
      (blocks + step_blocks - 1) / step_blocks * step_blocks * block_size_bytes;
  return std::clamp(rounded, recommended_size_min_bytes, image_size_max_bytes);
}

} // namespace vnvram
