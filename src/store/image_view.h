// What an image holds, as one superblock and the ring behind it say: the table, the ring's records
// over the homes, and the directory. The one walk from a superblock to the blobs, for whoever opens
// an image and for whoever looks at a damaged one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "format/codec.h"
#include "format/superblock.h"
#include "store/directory.h"
#include "store/page_store.h"
#include "store/replay.h"
#include "store/ring_scanner.h"
#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// What a reader does about what is bad.
enum class OnDamage {
  stop, ///< The first of it is the result: opening.
  note, ///< Notes it, and leaves out what cannot be known for it: check, salvage.
  show, ///< As note, but what cannot be read is zeros, and a directory is followed wherever it
        ///< leads: dump.
};

/// Reads into its caller's pages and directory, in this order: load_index(), replay_ring(),
/// read_directory(). Whatever is bad, no more is read than an image can have.
///
/// Threads: one at a time, and nobody else uses the pages or the directory meanwhile.
class ImageView {
public:
  /// All of these must outlive it; `pages` are those of this superblock, and `directory` is that of
  /// an image that holds nothing yet. `device` is what the ring is read from.
  ImageView(BlockDevice& device, const format::Superblock& superblock, const format::Codec& codec,
            PageStore& pages, Directory& directory, OnDamage on_damage);
  ImageView(const ImageView&) = delete;
  ImageView& operator=(const ImageView&) = delete;

  /// An error unless damage is to be shown: nothing can be found without the index.
  Status load_index();

  /// The records that count, oldest first, as the pages' content. `on_record` is called for each,
  /// once its changes are known; an error from it ends the replay. Errors: io, and with
  /// OnDamage::stop a page that cannot be read. What was replayed up to there is installed then.
  ///
  /// Where the ring breaks off is told by ring_end(), which is for the caller to judge.
  Status replay_ring(const RingScanner::OnRecord& on_record);
  /// Only of use in on_record: the changes that are not among the pages' content yet.
  [[nodiscard]] std::uint64_t pending_size_bytes() const { return replay_.changed_size_bytes(); }
  void install_pending() { replay_.install(); }
  /// Only meaningful once replay_ring() has succeeded.
  [[nodiscard]] const RingScanner::End& ring_end() const { return ring_end_; }

  /// A page of the directory, and what it says. Called for each before its entries count.
  using OnDirectoryPage =
      std::function<void(std::uint32_t page, const format::DirectoryPage& content)>;
  /// An error only with OnDamage::stop; else see directory_break().
  Status read_directory(const OnDirectoryPage& on_page);
  struct DirectoryBreak {
    std::uint32_t page = 0;
    Error error;
  };
  /// The first directory page that is bad: no opener goes by it, or by one behind it.
  [[nodiscard]] const std::optional<DirectoryBreak>& directory_break() const {
    return directory_break_;
  }
  /// With OnDamage::show: why not all pages that the directory's pages name were followed; empty if
  /// they were.
  [[nodiscard]] const std::string& directory_end() const { return directory_end_; }

  /// A page with the ring's records applied. One that could not be read before a record changed it
  /// stays bad, unless it is to be shown.
  Result<PageRef> load(std::uint32_t page);
  /// Those that were needed and could not be read, but for the one at which the directory breaks.
  [[nodiscard]] const std::map<std::uint32_t, Error>& bad_pages() const { return bad_pages_; }
  /// By page: load() was asked for it. And how often it had to look.
  [[nodiscard]] const std::vector<bool>& looked_at() const { return looked_at_; }
  [[nodiscard]] std::uint64_t look_count() const { return look_count_; }

private:
  Result<PageRef> meet_bad_page(std::uint32_t page, const Error& error);
  Status add_to_directory(std::uint32_t page, const Result<PageRef>& loaded,
                          const format::DirectoryPage& content);
  [[nodiscard]] bool may_follow(std::uint32_t page);

  PageStore& pages_;
  Directory& directory_;
  const OnDamage on_damage_;
  RingScanner scanner_;
  Replay replay_;
  RingScanner::End ring_end_;
  std::map<std::uint32_t, Error> bad_pages_;
  std::vector<bool> looked_at_;
  std::uint64_t look_count_ = 0;
  std::set<std::uint32_t> followed_; // pages of a directory that is to be shown
  std::optional<DirectoryBreak> directory_break_;
  std::string directory_end_;
};

} // namespace vnvram
