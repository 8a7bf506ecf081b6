#include "store/replay.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace vnvram {

Page& Replay::writable(ChangedPage& page) {
  if (page.own == nullptr) {
    page.own = std::make_shared<Page>(*page.content);
    page.content = page.own;
  }
  return *page.own;
}

Status Replay::apply_part(std::uint64_t offset_bytes, std::size_t length_bytes,
                          const std::byte* bytes) {
  const auto page = static_cast<std::uint32_t>(offset_bytes / block_size_bytes);
  if (length_bytes == block_size_bytes && bytes == nullptr) {
    changed_[page] = {pages_.zero_page(), nullptr}; // What was there does not matter.
    return {};
  }
  const auto [found, fresh] = changed_.try_emplace(page);
  if (fresh) {
    Result<PageRef> before = pages_.load(page);
    if (!before) {
      before = on_bad_page_(page, before.error());
    }
    if (!before) {
      return before.error();
    }
    found->second.content = *std::move(before);
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

Status Replay::apply_extent(const format::RecordView::Extent& extent) {
  std::uint64_t done = 0;
  while (done < extent.length_bytes) {
    const std::uint64_t offset = extent.offset_bytes + done;
    const std::size_t length = std::min<std::uint64_t>(
        extent.length_bytes - done, block_size_bytes - (offset % block_size_bytes));
    const std::byte* bytes =
        extent.kind == format::ExtentKind::zeros ? nullptr : extent.bytes.data() + done;
    const Status applied = apply_part(offset, length, bytes);
    if (!applied) {
      return applied;
    }
    done += length;
  }
  return {};
}

// INV2b: a record's changes to all of its pages; they are installed together.
Status Replay::apply(const format::RecordView& record) {
  for (const format::RecordView::Extent& extent : record.extents()) {
    const Status applied = apply_extent(extent);
    if (!applied) {
      return applied;
    }
  }
  return {};
}

void Replay::install() {
  std::vector<PageUpdate> updates;
  updates.reserve(changed_.size());
  for (auto& [page, change] : changed_) {
    if (change.content != nullptr) {
      updates.push_back({page, std::move(change.content)});
    }
  }
  changed_.clear();
  pages_.install(updates);
}

} // namespace vnvram
