// Range writes that were answered before they are durable: what readers must see, and what the next
// record must hold.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/geometry.h"
#include "store/page.h"
#include "vnvram/transaction.h"

namespace vnvram {

/// Two batches: the one that collects writes, and the one that was taken for a record and is not
/// durable yet. A batch becomes durable as a whole, and the next one is taken only after it, so
/// what is on the image is always the writes up to some moment, in their order. Where writes of a
/// batch overlap, the later one is kept.
///
/// A value without a lock of its own: its owner's lock guards it.
class DeferredWrites {
public:
  struct Limits {
    /// What one batch may add to a record at most.
    std::uint64_t record_size_bytes = 0;
    /// How many pages' worth of memory a batch may take.
    std::size_t page_count = 0;
  };
  /// Of a store with such an image and cache.
  static Limits limits_for(const format::Geometry& geometry, std::uint64_t cache_size_bytes);
  explicit DeferredWrites(const Limits& limits) : limits_(limits) {}

  /// Whether the batch that collects can hold this write, too. An empty one holds any.
  [[nodiscard]] bool has_room(std::string_view blob, std::uint64_t offset_bytes,
                              std::uint64_t length_bytes) const;
  /// Collects a write. One of no bytes is none, and one that there is no memory for (an exception)
  /// has changed nothing.
  void write(std::string_view blob, std::uint64_t offset_bytes, std::span<const std::byte> bytes);
  void zero(std::string_view blob, std::uint64_t offset_bytes, std::uint64_t length_bytes);
  /// Nothing is collected. What was taken may still not be durable.
  [[nodiscard]] bool empty() const { return collected_.pages.empty(); }
  /// Neither collected nor taken.
  [[nodiscard]] bool nothing_waits() const { return empty() && taken_.pages.empty(); }
  /// What was taken is not durable yet.
  [[nodiscard]] bool is_taken() const { return !taken_.pages.empty(); }

  /// Lays what waits for a blob over its bytes from offset_bytes on.
  void lay_over(std::string_view blob, std::uint64_t offset_bytes,
                std::span<std::byte> bytes) const;
  /// The blob's size with what waits for it.
  [[nodiscard]] std::uint64_t size_bytes(std::string_view blob, std::uint64_t durable_bytes) const;

  /// Drops what was collected for blobs that are not there any more.
  void keep_only(const std::function<bool(std::string_view blob)>& is_there);

  /// Something of it is for this blob.
  [[nodiscard]] bool waits_for(std::string_view blob) const {
    return collected_.pages.contains(blob) || taken_.pages.contains(blob);
  }

  /// Takes what was collected for the next record; if what was taken before is not durable, that
  /// once more. The transaction borrows its bytes, which stay as they are until taken_is_durable().
  [[nodiscard]] Transaction take();
  /// The record that holds it is durable, and readers see it there.
  void taken_is_durable() { taken_ = {}; }

private:
  struct Run {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
  };
  /// The written parts of a page: runs that do not touch, in order.
  struct PartialPage {
    Page content;
    std::vector<Run> written;
  };
  /// By the page's first byte in its blob.
  using Pages = std::map<std::uint64_t, std::unique_ptr<PartialPage>>;
  struct Batch {
    std::map<std::string, Pages, std::less<>> pages;
    std::size_t page_count = 0;
    std::uint64_t record_size_bytes = 0;
  };

  static std::uint64_t record_size_of(const PartialPage& page);
  static void add_run(std::vector<Run>& written, Run run);
  /// Calls visit(page's first byte, part of the page, how far into the range that is).
  template <typename Visit>
  static void for_each_part(std::uint64_t offset_bytes, std::uint64_t length_bytes, Visit visit);
  /// All that a write may need memory for. An exception has changed nothing.
  Pages& make_room(std::string_view blob, std::uint64_t offset_bytes, std::uint64_t length_bytes);
  void drop_unwritten(std::string_view blob);
  /// This part of a page, which is written from now on. There is room.
  std::byte* written_part(Pages& pages, std::uint64_t page_offset_bytes, Run run);

  Limits limits_;
  Batch collected_;
  Batch taken_;
};

} // namespace vnvram
