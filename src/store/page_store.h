// The page space: cache, table, and the other-slot rule.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "format/codec.h"
#include "format/geometry.h"
#include "format/table_node.h"
#include "store/page.h"
#include "store/vouched_blocks.h"
#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// Pages by number, as of the newest installed commit. Clean pages come and go within the cache's
/// size; dirty ones (newer than the current checkpoint) stay until a write-back is published.
///
/// Threads: all calls may come from any thread. One write-back at a time, and one installer.
class PageStore {
public:
  /// Looked at under one lock, which is not held for long.
  static constexpr std::size_t matched_page_count_max = 32;

  PageStore(BlockDevice& device, const format::Superblock& superblock, const format::Codec& codec,
            std::uint64_t cache_size_bytes);

  /// Reads and checks the index; before anything else. An error is that of the first block that is
  /// bad: whatever that one leads to reads as zeros, if somebody goes on.
  Status load_index();

  /// The page if it is in memory, else nullptr.
  [[nodiscard]] PageRef lookup(std::uint32_t page);
  /// How many of these bytes, in whole pages, are what is in memory for the pages from `first_page`
  /// on; it looks at no more than matched_page_count_max of them.
  [[nodiscard]] std::size_t matching_bytes(std::uint32_t first_page,
                                           std::span<const std::byte> bytes);
  /// The page, from the device if need be, with its neighbours: a device reads many blocks in
  /// hardly more time than one. corrupt: what is there is not what its parent vouches for.
  Result<PageRef> load(std::uint32_t page);

  /// The pages of a zone that are in a slot on the device, whoever owns them.
  Result<std::vector<std::uint32_t>> pages_in_slots(std::uint32_t zone);

  /// Of a dirty page: whether what the device has of it, which nobody needs any more, is what its
  /// parent vouches for. Success for others. Errors: corrupt, io.
  Status check_replaced_home(std::uint32_t page);

  /// What every page of zeros shares.
  [[nodiscard]] const PageRef& zero_page() const { return zero_page_; }

  /// Makes these the pages' content, all at once; they are dirty from now on. Without the memory
  /// for it, it throws and nothing has changed.
  void install(std::span<const PageUpdate> updates);
  [[nodiscard]] std::uint64_t dirty_size_bytes() const;
  [[nodiscard]] std::uint64_t cache_size_bytes() const { return cache_size_bytes_; }

  // A checkpoint's part, in this order: begin, write_back, (superblock), publish.
  /// Takes what is dirty now; later installs belong to the next checkpoint.
  void begin_write_back();
  /// Writes the taken pages, their leaves and the index to the slots that the current superblock
  /// does not point to. Nothing is flushed. Returns what the next superblock must say.
  Result<format::IndexEntries> write_back();
  /// The superblock that says so is durable: the other slots are the current ones from now on.
  void publish();

  // A new data key's part, with no commit and no other checkpoint under way.
  /// What the next write-back writes is sealed by this codec. Once it is published all must be,
  /// so that every page that is in a slot is to be installed before.
  void seal_with(const format::Codec& codec);
  /// Writes random bytes over all slots that nothing current depends on. Not flushed. `zone_done`
  /// is called behind each zone; its error ends it.
  Status overwrite_other_slots(const std::function<Status(std::uint64_t done_bytes)>& zone_done);

  /// More pages at the end, once both superblocks with this geometry are durable. With no commit
  /// and no checkpoint under way; reads go on.
  void grow(const format::Geometry& geometry);

private:
  struct Frame {
    PageRef content;
    bool dirty = false;
    bool writing = false;                              // belongs to the write-back under way
    std::list<std::uint32_t>::iterator clean_position; // only while neither of the two
  };
  using LeafRef = std::shared_ptr<const format::TableNode>;
  using Index = std::vector<format::TableNode>;
  struct WriteBack {
    std::vector<PageUpdate> pages; // sorted
    std::map<std::uint32_t, LeafRef> leaves;
    Index index;
    format::IndexEntries index_entries{};
  };

  using BlocksRef = std::shared_ptr<VouchedBlocks>;
  [[nodiscard]] BlocksRef blocks() const;
  /// As it is now, for whoever reads without the mutex.
  [[nodiscard]] format::Geometry geometry() const {
    const std::lock_guard lock(mutex_);
    return geometry_;
  }
  [[nodiscard]] format::TableEntry leaf_entry(std::uint32_t zone) const;
  Result<LeafRef> load_leaf(std::uint32_t zone);
  Status overwrite(format::BlockPlace place, const format::TableEntry& entry);
  Status write_zone(std::uint32_t zone, std::span<const PageUpdate> pages);
  Status write_index(std::uint32_t index);
  /// What the device has of a page and, if they are intact, of those beside it.
  struct Cluster {
    std::vector<PageUpdate> neighbours;
    PageRef page; ///< nullptr: `error` says why.
    Status error;
  };
  Cluster read_cluster(VouchedBlocks& blocks, std::uint32_t page, const format::TableNode& leaf);
  static Cluster read_one(VouchedBlocks& blocks, std::uint32_t page,
                          const format::TableEntry& entry);
  /// Needs mutex_.
  void insert_clean(std::uint32_t page, PageRef content);
  void make_clean(std::uint32_t page, Frame& frame);
  void add_frames(std::span<const PageUpdate> updates);
  void evict();

  BlockDevice& device_;
  /// Changed with the mutex, by grow() alone: write-backs, and what runs beside none, need no lock.
  format::Geometry geometry_;
  const std::uint64_t cache_size_bytes_;
  const PageRef zero_page_; // shared by all that are zero: they cost no memory

  BlocksRef next_blocks_; // What write-backs go through. The same but for a new data key.

  mutable std::mutex mutex_;
  BlocksRef blocks_;
  std::unordered_map<std::uint32_t, Frame> frames_;
  std::list<std::uint32_t> clean_; // least recently used first
  std::size_t dirty_count_ = 0;
  std::unordered_map<std::uint32_t, LeafRef> leaves_;
  Index index_;
  format::IndexEntries index_entries_;
  std::uint64_t publication_count_ = 0;

  WriteBack write_back_; // only the thread that runs the write-back touches it
};

} // namespace vnvram
