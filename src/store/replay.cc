#include "store/replay.h"

#include <algorithm>
#include <cstring>
#include <map>

namespace vnvram {

namespace {

using ChangedPages = std::map<std::uint32_t, std::shared_ptr<Page>>; // nullptr: left out

Status replay_extent(PageStore& pages, const format::RecordView::Extent& extent,
                     const OnBadPage& on_bad_page, ChangedPages& changed) {
  std::uint64_t done = 0;
  while (done < extent.length_bytes) {
    const std::uint64_t offset = extent.offset_bytes + done;
    const auto page = static_cast<std::uint32_t>(offset / block_size_bytes);
    const std::size_t in_page = offset % block_size_bytes;
    const std::size_t length =
        std::min<std::uint64_t>(extent.length_bytes - done, block_size_bytes - in_page);
    if (!changed.contains(page)) {
      const Result<PageRef> before = pages.load(page);
      const Status usable = before ? Status{} : on_bad_page(page, before.error());
      if (!usable) {
        return usable;
      }
      changed[page] = before ? std::make_shared<Page>(**before) : nullptr;
    }
    if (Page* to = changed[page].get(); to != nullptr) {
      if (extent.kind == format::ExtentKind::zeros) {
        std::memset(to->bytes.data() + in_page, 0, length);
      } else {
        std::memcpy(to->bytes.data() + in_page, extent.bytes.data() + done, length);
      }
    }
    done += length;
  }
  return {};
}

} // namespace

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
  for (auto& [page, content] : changed) {
    if (content != nullptr) {
      updates.push_back({page, std::move(content)});
    }
  }
  pages.install(updates);
  return {};
}

} // namespace vnvram
