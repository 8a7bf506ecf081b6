#include "store/replay.h"

#include <algorithm>
#include <cstring>
#include <map>

namespace vnvram {

namespace {

struct ChangedPage {
  PageRef content;           // nullptr: left out
  std::shared_ptr<Page> own; // the same, once it is a copy that may be changed
};
using ChangedPages = std::map<std::uint32_t, ChangedPage>;

Page& writable(ChangedPage& page) {
  if (page.own == nullptr) {
    page.own = std::make_shared<Page>(*page.content);
    page.content = page.own;
  }
  return *page.own;
}

Status replay_part(PageStore& pages, std::uint64_t offset_bytes, std::size_t length_bytes,
                   const std::byte* bytes, const OnBadPage& on_bad_page, ChangedPages& changed) {
  const auto page = static_cast<std::uint32_t>(offset_bytes / block_size_bytes);
  if (length_bytes == block_size_bytes && bytes == nullptr) {
    changed[page] = {pages.zero_page(), nullptr}; // What was there does not matter.
    return {};
  }
  const auto [found, fresh] = changed.try_emplace(page);
  if (fresh) {
    const Result<PageRef> before = pages.load(page);
    const Status usable = before ? Status{} : on_bad_page(page, before.error());
    if (!usable) {
      return usable;
    }
    found->second.content = before ? *before : nullptr;
  }
  if (found->second.content == nullptr) {
    return {};
  }
  std::byte* to = writable(found->second).bytes.data() + (offset_bytes % block_size_bytes);
  if (bytes == nullptr) {
    std::memset(to, 0, length_bytes);
  } else {
    std::memcpy(to, bytes, length_bytes);
  }
  return {};
}

Status replay_extent(PageStore& pages, const format::RecordView::Extent& extent,
                     const OnBadPage& on_bad_page, ChangedPages& changed) {
  std::uint64_t done = 0;
  while (done < extent.length_bytes) {
    const std::uint64_t offset = extent.offset_bytes + done;
    const std::size_t length = std::min<std::uint64_t>(
        extent.length_bytes - done, block_size_bytes - (offset % block_size_bytes));
    const std::byte* bytes =
        extent.kind == format::ExtentKind::zeros ? nullptr : extent.bytes.data() + done;
    const Status replayed = replay_part(pages, offset, length, bytes, on_bad_page, changed);
    if (!replayed) {
      return replayed;
    }
    done += length;
  }
  return {};
}

} // namespace

// INV2b: a record's changes to all of its pages, at once.
Status replay_record(PageStore& pages, const format::RecordView& record,
                     const OnBadPage& on_bad_page) {
  ChangedPages changed;
  for (const format::RecordView::Extent& extent : record.extents()) {
    const Status replayed = replay_extent(pages, extent, on_bad_page, changed);
    if (!replayed) {
      return replayed;
    }
  }
  std::vector<PageUpdate> updates;
  for (auto& [page, change] : changed) {
    if (change.content != nullptr) {
      updates.push_back({page, std::move(change.content)});
    }
  }
  pages.install(updates);
  return {};
}

} // namespace vnvram
