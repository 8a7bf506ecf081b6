#include "store/image_view.h"

#include <cstring>

#include <fmt/core.h>

#include "format/geometry.h"

namespace vnvram {

ImageView::ImageView(BlockDevice& device, const format::Superblock& superblock,
                     const format::Codec& codec, PageStore& pages, Directory& directory,
                     OnDamage on_damage)
    : pages_(pages), directory_(directory), on_damage_(on_damage),
      scanner_(device, superblock, codec),
      replay_(pages, [this](std::uint32_t page,
                            const Error& error) { return meet_bad_page(page, error); }),
      looked_at_(format::geometry_of(superblock).page_count()) {}

Result<PageRef> ImageView::meet_bad_page(std::uint32_t page, const Error& error) {
  if (on_damage_ == OnDamage::stop) {
    return error;
  }
  bad_pages_.emplace(page, error);
  return on_damage_ == OnDamage::show ? pages_.zero_page() : PageRef();
}

Status ImageView::load_index() {
  const Status loaded = pages_.load_index();
  return on_damage_ == OnDamage::show ? Status() : loaded;
}

Status ImageView::replay_ring(const RingScanner::OnRecord& on_record) {
  const Result<RingScanner::End> end = scanner_.scan(
      [&](const format::RecordView& record, std::uint32_t position, const RingPosition& behind) {
        const Status applied = replay_.apply(record);
        return applied && on_record ? on_record(record, position, behind) : applied;
      });
  replay_.install();
  if (!end) {
    return end.error();
  }
  ring_end_ = *end;
  return {};
}

Result<PageRef> ImageView::load(std::uint32_t page) {
  const bool stays_bad = on_damage_ == OnDamage::note && bad_pages_.contains(page);
  if (stays_bad) {
    return bad_pages_.at(page);
  }
  if (page < looked_at_.size()) {
    looked_at_[page] = true;
  }
  ++look_count_;
  const Result<PageRef> loaded = pages_.load(page);
  if (loaded || on_damage_ == OnDamage::stop) {
    return loaded;
  }
  bad_pages_.emplace(page, loaded.error());
  return on_damage_ == OnDamage::show ? Result<PageRef>(pages_.zero_page()) : loaded;
}

Status ImageView::read_directory(const OnDirectoryPage& on_page) {
  std::uint32_t page = 0;
  do {
    if (on_damage_ == OnDamage::show && !may_follow(page)) {
      return {};
    }
    const Result<PageRef> loaded = load(page);
    format::DirectoryPage content{};
    if (loaded) {
      std::memcpy(&content, (*loaded)->bytes.data(), sizeof(content));
      if (on_page) {
        on_page(page, content);
      }
    }
    const Status added = add_to_directory(page, loaded, content);
    if (!added || (directory_break_ && on_damage_ != OnDamage::show)) {
      return added;
    }
    page = content.next_page;
  } while (page != 0);
  return {};
}

// What is behind a break does not count: the directory is what every opener would go by.
Status ImageView::add_to_directory(std::uint32_t page, const Result<PageRef>& loaded,
                                   const format::DirectoryPage& content) {
  if (directory_break_) {
    return {};
  }
  // A loop is a page with two owners.
  Status added = loaded ? directory_.add_page(page, content) : Status(loaded.error());
  if (added || on_damage_ == OnDamage::stop) {
    return added;
  }
  bad_pages_.erase(page);
  directory_break_ = DirectoryBreak{page, added.error()};
  return {};
}

// No add_page() bounds what is behind a break.
bool ImageView::may_follow(std::uint32_t page) {
  if (page >= looked_at_.size() || !followed_.insert(page).second) {
    directory_end_ = fmt::format("the directory's chain of pages breaks at {}", page);
  } else if (followed_.size() > directory_pages_max) {
    directory_end_ = "the directory has more pages than all blobs can need";
  }
  return directory_end_.empty();
}

} // namespace vnvram
