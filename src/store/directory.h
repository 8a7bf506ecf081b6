// The directory in memory: which blobs there are, and which pages are whose.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "format/directory_entry.h"
#include "format/geometry.h"
#include "vnvram/blob.h"
#include "vnvram/result.h"

namespace vnvram {

inline constexpr std::size_t directory_pages_max =
    (blob_count_max + format::directory_entries_per_page - 1) / format::directory_entries_per_page;

/// Bytes of the page space.
struct SpaceRange {
  std::uint64_t offset_bytes = 0;
  std::uint32_t length_bytes = 0;
};

struct Blob {
  BlobInfo info;
  std::vector<format::PageRun> runs;
  std::uint64_t entry_offset_bytes = 0; ///< Of its directory entry, in the page space.
  std::string next_producer;            ///< Reaches the image with the next write.

  /// The blob's bytes from offset_bytes on, as parts of the page space, each as long as can be.
  /// offset_bytes + length_bytes must be within the largest size.
  [[nodiscard]] std::vector<SpaceRange> longest_ranges(std::uint64_t offset_bytes,
                                                       std::uint64_t length_bytes) const;
  /// The same, none across a page's end.
  [[nodiscard]] std::vector<SpaceRange> ranges_within_pages(std::uint64_t offset_bytes,
                                                            std::uint64_t length_bytes) const;
};

/// A value: registering works on a copy, which takes the place of the old one when it is durable.
class Directory {
public:
  explicit Directory(std::uint32_t page_count);

  /// Adds a directory page's entries, page 0 first. corrupt if an entry cannot be right.
  Status add_page(std::uint32_t page, const format::DirectoryPage& content);

  using Blobs = std::map<std::string, Blob, std::less<>>;
  [[nodiscard]] const Blobs& blobs() const { return blobs_; }
  [[nodiscard]] const Blob* find(std::string_view name) const;
  [[nodiscard]] Blob* find(std::string_view name);
  [[nodiscard]] const std::vector<std::uint32_t>& pages() const { return pages_; }
  [[nodiscard]] std::uint32_t page_count() const { return page_count_; }
  [[nodiscard]] std::uint32_t free_page_count() const { return free_page_count_; }
  /// Who owns a page, for messages: a blob's name, "the directory", or "" for a free page.
  [[nodiscard]] std::string owner_of(std::uint32_t page) const;

  /// Runs of free pages of this length in all; nullopt if there are not enough, or only in more
  /// than `runs_max` pieces. They are not taken until a blob or the directory has them.
  [[nodiscard]] std::optional<std::vector<format::PageRun>> find_free(std::uint32_t page_count,
                                                                      std::size_t runs_max) const;

  /// An unused entry's offset in the page space, or nullopt if every page is full.
  [[nodiscard]] std::optional<std::uint64_t> find_free_entry() const;
  void add_directory_page(std::uint32_t page);
  /// Its runs and its entry must be free.
  void add(Blob blob);
  /// Gives more free pages to a blob.
  void extend(Blob& blob, const std::vector<format::PageRun>& runs);
  void remove(std::string_view name);
  void grow(std::uint32_t page_count);

private:
  bool take(const format::PageRun& run); // false if not all of it is free
  void release(const format::PageRun& run);
  void add_entries_of(std::uint32_t page);

  std::uint32_t page_count_;
  std::uint32_t free_page_count_;
  std::map<std::uint32_t, std::uint32_t> holes_; // first free page -> how many
  std::vector<std::uint32_t> pages_;             // the directory's own
  std::set<std::uint64_t> free_entries_;
  Blobs blobs_;
};

} // namespace vnvram
