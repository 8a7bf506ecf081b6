// Applies records from the ring to the pages in memory.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>

#include "format/record_view.h"
#include "store/page_store.h"
#include "vnvram/result.h"

namespace vnvram {

/// Redoes the changes of record after record, oldest first, on copies of its own: a page that many
/// records change is copied once. Doing it again does no harm.
class Replay {
public:
  /// What to do about a page that cannot be read: an error ends the replay, nullptr leaves that
  /// page out, and anything else is what it is taken for.
  using OnBadPage = std::function<Result<PageRef>(std::uint32_t page, const Error& error)>;

  Replay(PageStore& pages, OnBadPage on_bad_page)
      : pages_(pages), on_bad_page_(std::move(on_bad_page)) {}

  Status apply(const format::RecordView& record);

  /// Of the pages that are changed and not installed.
  [[nodiscard]] std::uint64_t changed_size_bytes() const {
    return changed_.size() * block_size_bytes;
  }
  /// Makes the changes so far the pages' content.
  void install();

private:
  struct ChangedPage {
    PageRef content;           // nullptr: left out
    std::shared_ptr<Page> own; // the same, once it is a copy that may be changed
  };
  static Page& writable(ChangedPage& page);
  Status apply_extent(const format::RecordView::Extent& extent);
  Status apply_part(std::uint64_t offset_bytes, std::size_t length_bytes, const std::byte* bytes);

  PageStore& pages_;
  const OnBadPage on_bad_page_;
  std::unordered_map<std::uint32_t, ChangedPage> changed_;
};

} // namespace vnvram
