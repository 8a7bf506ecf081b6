#include "store/page_store.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include <fmt/core.h>

#include "base/aligned_buffer.h"
#include "format/superblock.h"

namespace vnvram {

using format::Geometry;
using format::TableEntry;
using format::TableNode;

namespace {

// Both slots of so many pages are read at once: 256 KiB.
constexpr std::uint32_t cluster_page_count_max = 32;

// Few of them must not push out all that a small cache holds.
std::uint32_t cluster_page_count(std::uint64_t cache_size_bytes) {
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(
      cache_size_bytes / block_size_bytes / 8, 1, cluster_page_count_max));
}

} // namespace

PageStore::PageStore(BlockDevice& device, const format::Superblock& superblock,
                     const format::Codec& codec, std::uint64_t cache_size_bytes)
    : device_(device), geometry_(format::geometry_of(superblock)),
      cache_size_bytes_(cache_size_bytes), zero_page_(std::make_shared<const Page>()),
      next_blocks_(std::make_shared<VouchedBlocks>(device, geometry_, codec)),
      blocks_(next_blocks_),
      index_(format::index_block_count, TableNode(geometry_.entry_size_bytes())),
      index_entries_(codec.index_entries(superblock)) {}

Status PageStore::load_index() {
  Status done;
  for (std::uint32_t i = 0; i < format::index_block_count; ++i) {
    const Result<TableNode> loaded = blocks()->read_node(format::index_place(i), index_entries_[i]);
    if (loaded) {
      index_[i] = *loaded;
    } else {
      done = done ? Status(loaded.error()) : done;
    }
  }
  return done;
}

PageStore::BlocksRef PageStore::blocks() const {
  const std::lock_guard lock(mutex_);
  return blocks_;
}

TableEntry PageStore::leaf_entry(std::uint32_t zone) const {
  return index_[geometry_.index_of(zone)].entry_of(zone);
}

PageRef PageStore::lookup(std::uint32_t page) {
  const std::lock_guard lock(mutex_);
  const auto found = frames_.find(page);
  return found == frames_.end() ? nullptr : found->second.content;
}

std::size_t PageStore::matching_bytes(std::uint32_t first_page, std::span<const std::byte> bytes) {
  std::size_t matching = 0;
  const std::size_t looked_at =
      std::min(bytes.size() / block_size_bytes, matched_page_count_max) * block_size_bytes;
  const std::lock_guard lock(mutex_);
  for (std::uint32_t page = first_page; matching < looked_at; ++page) {
    const auto found = frames_.find(page);
    if (found == frames_.end() ||
        std::memcmp(found->second.content->bytes.data(), &bytes[matching], block_size_bytes) != 0) {
      break;
    }
    matching += block_size_bytes;
  }
  return matching;
}

Result<PageStore::LeafRef> PageStore::load_leaf(std::uint32_t zone) {
  for (;;) {
    TableEntry entry;
    BlocksRef blocks;
    {
      const std::lock_guard lock(mutex_);
      blocks = blocks_;
      if (const auto found = leaves_.find(zone); found != leaves_.end()) {
        return found->second;
      }
      entry = leaf_entry(zone);
    }
    const Result<TableNode> loaded = blocks->read_node(format::leaf_place(zone), entry);
    const std::lock_guard lock(mutex_);
    if (leaf_entry(zone) != entry) {
      continue; // A checkpoint moved the leaf while we read it.
    }
    if (!loaded) {
      return loaded.error();
    }
    const std::size_t leaves_max =
        std::max<std::size_t>(4, cache_size_bytes_ / 16 / block_size_bytes);
    if (leaves_.size() >= leaves_max) {
      leaves_.erase(leaves_.begin()); // Any one: it is read again when it is needed.
    }
    auto leaf = std::make_shared<const TableNode>(*loaded);
    leaves_.insert_or_assign(zone, leaf);
    return LeafRef(leaf);
  }
}

Result<PageRef> PageStore::load(std::uint32_t page) {
  const Geometry geometry = this->geometry();
  if (page >= geometry.page_count()) { // The directory's links come from the image.
    return Error{ErrorKind::corrupt,
                 fmt::format("{}: page {} is outside of it, which has {}", device_.name(), page,
                             geometry.page_count()),
                 "`repair` mends what can be mended, `salvage` gets out what is intact"};
  }
  for (;;) {
    std::uint64_t publication = 0;
    BlocksRef blocks;
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = frames_.find(page); found != frames_.end()) {
        Frame& frame = found->second;
        if (!frame.dirty && !frame.writing) {
          clean_.splice(clean_.end(), clean_, frame.clean_position);
        }
        return frame.content;
      }
      publication = publication_count_;
      blocks = blocks_;
    }
    const Result<LeafRef> leaf = load_leaf(geometry.zone_of(page));
    if (!leaf) {
      return leaf.error();
    }
    Cluster read = read_cluster(*blocks, page, **leaf);

    const std::lock_guard lock(mutex_);
    if (frames_.contains(page) || publication != publication_count_) {
      continue; // Changed, or moved by a checkpoint, while we read it.
    }
    if (read.page == nullptr) {
      return read.error.error();
    }
    for (PageUpdate& neighbour : read.neighbours) {
      if (!frames_.contains(neighbour.page)) {
        insert_clean(neighbour.page, std::move(neighbour.content));
      }
    }
    insert_clean(page, read.page);
    return read.page;
  }
}

Result<std::vector<std::uint32_t>> PageStore::pages_in_slots(std::uint32_t zone) {
  const Result<LeafRef> leaf = load_leaf(zone);
  if (!leaf) {
    return leaf.error();
  }
  std::vector<std::uint32_t> pages;
  const format::NumberRange all = geometry_.pages_of(zone);
  for (std::uint32_t page = all.first; page < all.end; ++page) {
    if (!(*leaf)->entry_of(page).empty()) {
      pages.push_back(page);
    }
  }
  return pages;
}

Status PageStore::check_replaced_home(std::uint32_t page) {
  {
    const std::lock_guard lock(mutex_);
    const auto frame = frames_.find(page);
    if (frame == frames_.end() || !frame->second.dirty) {
      return {};
    }
  }
  const Result<LeafRef> leaf = load_leaf(geometry().zone_of(page));
  if (!leaf) {
    return leaf.error();
  }
  std::array<std::byte, block_size_bytes> content{};
  return blocks()->read(format::page_place(page), (*leaf)->entry_of(page), content);
}

PageStore::Cluster PageStore::read_cluster(VouchedBlocks& from, std::uint32_t page,
                                           const TableNode& leaf) {
  const TableEntry wanted = leaf.entry_of(page);
  if (wanted.empty()) {
    return {{}, zero_page_, {}};
  }
  // A cluster lies in one zone, so that its slots are side by side.
  const std::uint32_t count = cluster_page_count(cache_size_bytes_);
  const Geometry geometry = this->geometry();
  const format::NumberRange zone = geometry.pages_of(geometry.zone_of(page));
  const std::uint32_t first = zone.first + ((page - zone.first) / count * count);
  const std::uint32_t end = std::min(first + count, zone.end);
  assert(first <= page && page < end);
  const std::uint64_t first_block = geometry.page_block(first, 0);
  AlignedBuffer blocks(std::size_t{end - first} * 2 * block_size_bytes);
  if (!device_.read(first_block * block_size_bytes, blocks.span())) {
    return read_one(from, page, wanted); // Perhaps only a neighbour's blocks cannot be read.
  }
  Cluster cluster;
  for (std::uint32_t candidate = first; candidate < end; ++candidate) {
    const TableEntry entry = leaf.entry_of(candidate);
    const std::uint64_t block = from.block_of(format::page_place(candidate), entry);
    const auto bytes =
        blocks.span().subspan((block - first_block) * block_size_bytes).first<block_size_bytes>();
    if (entry.empty()) {
      continue;
    }
    auto content = std::make_shared<Page>();
    if (!from.take(format::page_place(candidate), entry, bytes, content->bytes)) {
      continue;
    }
    if (candidate == page) {
      cluster.page = std::move(content);
    } else {
      cluster.neighbours.push_back({candidate, std::move(content)});
    }
  }
  return cluster.page == nullptr ? read_one(from, page, wanted) : cluster;
}

PageStore::Cluster PageStore::read_one(VouchedBlocks& from, std::uint32_t page,
                                       const TableEntry& entry) {
  auto content = std::make_shared<Page>();
  Status read = from.read(format::page_place(page), entry, content->bytes);
  if (!read) {
    return {{}, nullptr, std::move(read)};
  }
  return {{}, std::move(content), {}};
}

void PageStore::insert_clean(std::uint32_t page, PageRef content) {
  assert(page < geometry_.page_count() && content != nullptr && !frames_.contains(page));
  Frame& frame = frames_[page];
  frame.content = std::move(content);
  frame.clean_position = clean_.insert(clean_.end(), page);
  evict();
}

void PageStore::make_clean(std::uint32_t page, Frame& frame) {
  frame.clean_position = clean_.insert(clean_.end(), page);
}

void PageStore::evict() {
  while (frames_.size() * block_size_bytes > cache_size_bytes_ && !clean_.empty()) {
    frames_.erase(clean_.front());
    clean_.pop_front();
  }
}

// Empty ones, where there are none. All or none of them.
void PageStore::add_frames(std::span<const PageUpdate> updates) {
  std::size_t done = 0;
  try {
    for (; done < updates.size(); ++done) {
      frames_.try_emplace(updates[done].page);
    }
  } catch (...) {
    for (const PageUpdate& update : updates.first(done)) {
      if (const auto found = frames_.find(update.page); found->second.content == nullptr) {
        frames_.erase(found);
      }
    }
    throw;
  }
}

void PageStore::install(std::span<const PageUpdate> updates) {
  const std::lock_guard lock(mutex_);
  add_frames(updates);
  for (const PageUpdate& update : updates) {
    assert(update.page < geometry_.page_count() && update.content != nullptr);
    Frame& frame = frames_.find(update.page)->second;
    if (frame.content != nullptr && !frame.dirty && !frame.writing) {
      clean_.erase(frame.clean_position);
    }
    dirty_count_ += frame.dirty ? 0 : 1;
    frame.dirty = true;
    frame.content = update.content;
  }
  evict();
}

std::uint64_t PageStore::dirty_size_bytes() const {
  const std::lock_guard lock(mutex_);
  return (dirty_count_ + write_back_.pages.size()) * block_size_bytes;
}

void PageStore::begin_write_back() {
  const std::lock_guard lock(mutex_);
  assert(write_back_.pages.empty());
  for (auto& [page, frame] : frames_) {
    if (frame.dirty) {
      frame.dirty = false;
      frame.writing = true;
      write_back_.pages.push_back({page, frame.content});
    }
  }
  assert(write_back_.pages.size() == dirty_count_); // install() has counted them one by one.
  dirty_count_ = 0;
  write_back_.index = index_;
  write_back_.index_entries = index_entries_;
  std::sort(write_back_.pages.begin(), write_back_.pages.end(),
            [](const PageUpdate& a, const PageUpdate& b) { return a.page < b.page; });
}

// The zone's changed pages, then its leaf.
Status PageStore::write_zone(std::uint32_t zone, std::span<const PageUpdate> pages) {
  const Result<LeafRef> current = load_leaf(zone);
  if (!current) {
    return current.error();
  }
  const auto leaf = std::make_shared<TableNode>(**current);
  for (const PageUpdate& update : pages) {
    assert(geometry_.zone_of(update.page) == zone && update.page < geometry_.page_count());
    const Result<TableEntry> next =
        next_blocks_->write_next(format::page_place(update.page), leaf->entry_of(update.page),
                                 std::span(update.content->bytes));
    if (!next) {
      return next.error();
    }
    leaf->set_entry_of(update.page, *next);
  }
  TableNode& index = write_back_.index[geometry_.index_of(zone)];
  const Result<TableEntry> next =
      next_blocks_->write_next(format::leaf_place(zone), index.entry_of(zone), leaf->bytes());
  if (!next) {
    return next.error();
  }
  index.set_entry_of(zone, *next);
  write_back_.leaves.emplace(zone, leaf);
  return {};
}

Result<format::IndexEntries> PageStore::write_back() {
  std::span<const PageUpdate> rest = write_back_.pages;
  while (!rest.empty()) {
    const std::uint32_t zone = geometry_.zone_of(rest.front().page);
    const auto end = std::find_if(rest.begin(), rest.end(), [&](const PageUpdate& update) {
      return geometry_.zone_of(update.page) != zone;
    });
    const auto in_zone = rest.first(static_cast<std::size_t>(end - rest.begin()));
    rest = rest.subspan(in_zone.size());
    const Status written = write_zone(zone, in_zone);
    if (!written) {
      return written.error();
    }
  }
  for (std::uint32_t i = 0; i < format::index_block_count; ++i) {
    const Status written = write_index(i);
    if (!written) {
      return written.error();
    }
  }
  return write_back_.index_entries;
}

void PageStore::publish() {
  const std::lock_guard lock(mutex_);
  for (const PageUpdate& update : write_back_.pages) {
    Frame& frame = frames_.at(update.page);
    assert(frame.writing && (frame.dirty || frame.content == update.content));
    frame.writing = false;
    if (!frame.dirty) {
      make_clean(update.page, frame);
    }
  }
  for (const auto& [zone, leaf] : write_back_.leaves) {
    leaves_.insert_or_assign(zone, leaf);
  }
  blocks_ = next_blocks_;
  index_ = write_back_.index;
  index_entries_ = write_back_.index_entries;
  write_back_ = {};
  ++publication_count_;
  evict();
}

void PageStore::grow(const Geometry& geometry) {
  const std::lock_guard lock(mutex_);
  assert(geometry.page_count() >= geometry_.page_count());
  geometry_ = geometry;
}

} // namespace vnvram
