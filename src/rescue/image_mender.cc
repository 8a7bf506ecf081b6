#include "rescue/image_mender.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/core.h>

#include "format/all_zero.h"
#include "keys/header_area.h"
#include "rescue/bit_flip.h"
#include "store/ring_scanner.h"

namespace vnvram {

using format::Geometry;
using format::TableEntry;
using format::TableNode;

namespace {

// Each costs up to a fraction of a second; an image with more damage than this needs its backup.
constexpr std::uint32_t tries_max = 1024;
// Flipping each bit costs the square of the length.
constexpr std::uint32_t record_block_count_tried_max = 8;
constexpr unsigned ring_breaks_max = 16;

} // namespace

ImageMender::ImageMender(BlockDevice& device, const format::Superblock& superblock,
                         format::Codec codec)
    : superblock_(superblock), geometry_(format::geometry_of(superblock)), codec_(std::move(codec)),
      mended_(device), tries_left_(tries_max) {
  const Result<std::uint64_t> size = device.size_bytes();
  device_block_count_ = size ? *size / block_size_bytes : 0;
}

std::optional<Block> ImageMender::read(std::uint64_t block) {
  Block content;
  return mended_.read(block * block_size_bytes, content) ? std::optional(content) : std::nullopt;
}

bool ImageMender::may_try() {
  if (tries_left_ == 0) {
    return false;
  }
  if (--tries_left_ == 0) {
    findings_.push_back({"image",
                         fmt::format("more than {} blocks are damaged; the rest was not "
                                     "tried to be mended",
                                     tries_max),
                         false});
  }
  return tries_left_ != 0;
}

bool ImageMender::note(const std::string& place, std::uint64_t block,
                       const std::optional<BlockMender::Mended>& mended) {
  const std::string where = fmt::format("{} (block {})", place, block);
  if (!mended) {
    findings_.push_back({where, "damaged beyond repair", false});
    return false;
  }
  mended_.replace(block, mended->content);
  const bool is_there = block < device_block_count_;
  findings_.push_back({where,
                       is_there ? fmt::format("mended: {}", mended->how)
                                : std::string("known, and behind the device's end"),
                       is_there});
  return true;
}

// Only an encrypted image keeps something there.
void ImageMender::clear_key_slots() {
  for (std::uint32_t i = 0; i < format::keys_block_count / 2; ++i) {
    const std::uint64_t block = format::keys_start_block + i;
    const std::optional<Block> content = read(block);
    if (!content || !format::all_zero(*content)) {
      note("room for key slots", block, BlockMender::Mended{{}, {}, "it is all zero"});
    }
  }
}

// One copy from the other, or a single flipped bit. Else there is nothing that would make them
// again.
void ImageMender::mend_header_area(format::HeaderPart part, const std::string& place) {
  const auto found = HeaderArea(mended_, part, superblock_.uuid).look();
  if (!found || found->damage.empty()) {
    return;
  }
  if (found->mendable) {
    replace_header_copy(part, *found->mendable, found->mended, place, "its other copy");
  } else if (!unflip_header_copy(part, 0, place) && !unflip_header_copy(part, 1, place)) {
    findings_.push_back({place, found->damage, false});
  }
}

bool ImageMender::unflip_header_copy(format::HeaderPart part, unsigned copy,
                                     const std::string& place) {
  std::vector<std::byte> bytes(format::header_copy_size_bytes);
  const std::uint64_t start = format::start_blocks_of(part).at(copy);
  const auto is_damaged = [&] {
    const auto checked = format::check_header_copy(
        {.part = part, .copy = copy, .uuid = superblock_.uuid},
        std::span<const std::byte>(bytes).first<format::header_copy_size_bytes>());
    return checked.state == format::HeaderCopyState::damaged;
  };
  const bool mended = mended_.read(start * block_size_bytes, bytes).ok() && is_damaged() &&
                      unflip_bit(std::span(bytes), [&] { return !is_damaged(); });
  if (mended) {
    replace_header_copy(part, copy, bytes, place, "one flipped bit");
  }
  return mended;
}

void ImageMender::replace_header_copy(format::HeaderPart part, unsigned copy,
                                      std::span<const std::byte> bytes, const std::string& place,
                                      std::string_view how) {
  const std::uint64_t start = format::start_blocks_of(part).at(copy);
  for (std::uint32_t i = 0; i < format::header_copy_block_count; ++i) {
    Block content;
    std::memcpy(content.data(), &bytes[std::size_t{i} * block_size_bytes], content.size());
    if (read(start + i) != content) {
      note(place, start + i, BlockMender::Mended{content, content, how});
    }
  }
}

void ImageMender::run(const RescueProgress& progress) {
  progress_ = progress;
  if (codec_.seals()) {
    mend_header_area(format::HeaderPart::key_slots, "key slots");
  } else {
    clear_key_slots();
  }
  mend_header_area(format::HeaderPart::metadata, "public metadata");
  mend_ring(); // First: its records help to mend the rest.
  history_.emplace(mended_, superblock_, codec_);
  mender_.emplace(mended_, superblock_, codec_, *history_);
  walk_table(superblock_, codec_, *this);
}

std::optional<TableNode> ImageMender::visit_node(format::BlockPlace place,
                                                 const TableEntry& entry) {
  const std::uint64_t block = geometry_.block_of(place, entry.slot());
  std::optional<Block> content = read(block);
  if (content && codec_.open(entry, place, *content)) {
    return TableNode(codec_.entry_size_bytes(), *content);
  }
  const bool leaf = place.kind == format::BlockKind::leaf;
  const auto mended = !may_try() ? std::nullopt
                      : leaf     ? mender_->mend_leaf(place.number, entry)
                                 : mender_->mend_index(place.number, entry);
  const std::string name = leaf ? fmt::format("table leaf of zone {}", place.number)
                                : fmt::format("table index {}", place.number);
  return note(name, block, mended)
             ? std::optional(TableNode(codec_.entry_size_bytes(), mended->says))
             : std::nullopt;
}

void ImageMender::visited_zone(std::uint32_t zone, std::uint32_t zone_count) {
  if (progress_) {
    const std::uint64_t zone_size_bytes =
        std::uint64_t{geometry_.zone_block_count()} * block_size_bytes;
    progress_((zone + 1) * zone_size_bytes, zone_count * zone_size_bytes);
  }
}

void ImageMender::visit_pages(std::uint32_t zone, const TableNode& leaf) {
  const format::NumberRange pages = geometry_.pages_of(zone);
  // Both slots of all of them in one read, unless the device cannot.
  std::vector<std::byte> blocks(std::size_t{pages.count()} * 2 * block_size_bytes);
  const std::uint64_t first_block = geometry_.page_block(pages.first, 0);
  const bool at_once = mended_.read(first_block * block_size_bytes, blocks).ok();
  for (std::uint32_t page = pages.first; page < pages.end; ++page) {
    const TableEntry entry = leaf.entry_of(page);
    if (entry.empty()) {
      continue;
    }
    const std::uint64_t block = geometry_.page_block(page, entry.slot());
    Block content{};
    bool readable = at_once;
    if (at_once) {
      std::memcpy(content.data(), &blocks[(block - first_block) * block_size_bytes],
                  content.size());
    } else {
      readable = mended_.read(block * block_size_bytes, content).ok();
    }
    if (!readable || !codec_.open(entry, format::page_place(page), content)) {
      note(fmt::format("home page {}, slot {}", page, entry.slot()), block,
           may_try() ? mender_->mend_page(page, entry) : std::nullopt);
    }
  }
}

// A record at which the ring breaks off counts again if one flipped bit makes it whole: it was
// written in full then, and perhaps acknowledged.
void ImageMender::mend_ring() {
  for (unsigned breaks = 0; breaks < ring_breaks_max; ++breaks) {
    RingScanner scanner(mended_, superblock_, codec_);
    const Result<RingScanner::End> end = scanner.scan(
        [](const format::RecordView&, std::uint32_t, const RingPosition&) { return Status{}; });
    if (!end) {
      ring_damaged_ = true;
      findings_.push_back({"ring", end.error().cause(), false});
      return;
    }
    ring_damaged_ = end->damaged;
    if (!end->damaged && !end->torn) {
      return;
    }
    if (mend_record_at(end->behind.position)) {
      continue;
    }
    if (end->damaged) {
      findings_.push_back({"ring", end->reason, false});
    }
    return; // Torn, it is most likely a commit that a power cut hit: no damage.
  }
}

bool ImageMender::mend_record_at(std::uint32_t position) {
  const std::uint32_t count_max =
      std::min({record_block_count_tried_max, geometry_.record_block_count_max(),
                geometry_.ring_block_count() - position});
  for (std::uint32_t count = 1; count <= count_max; ++count) { // Its header may be what is damaged.
    std::vector<std::byte> blocks(std::size_t{count} * block_size_bytes);
    const std::uint64_t first_block = Geometry::ring_block(position);
    if (!mended_.read(first_block * block_size_bytes, blocks)) {
      return false;
    }
    const char* reason = nullptr;
    const bool whole = unflip_bit(std::span(blocks), [&] {
      const auto header = format::peek_record(std::span(blocks).first(block_size_bytes), count);
      return header && header->block_count == count &&
             format::RecordView::check(blocks, codec_, geometry_.space_size_bytes(), reason);
    });
    if (!whole) {
      continue;
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      Block content;
      std::memcpy(content.data(), &blocks[std::size_t{i} * block_size_bytes], content.size());
      mended_.replace(first_block + i, content);
    }
    findings_.push_back(
        {fmt::format("ring record at ring block {} (block {})", position, first_block),
         "mended: one flipped bit", true});
    return true;
  }
  return false;
}

} // namespace vnvram
