#include "store/directory.h"

#include <algorithm>
#include <cassert>

#include <fmt/core.h>

namespace vnvram {

using format::PageRun;

namespace {

std::uint64_t entry_offset(std::uint32_t page, std::size_t index) {
  return (std::uint64_t{page} * block_size_bytes) + offsetof(format::DirectoryPage, entries) +
         (index * sizeof(format::DirectoryEntry));
}

Error corrupt_entry(std::uint32_t page, std::size_t index, std::string_view what) {
  return {ErrorKind::corrupt, fmt::format("directory page {}, entry {}: {}", page, index, what),
          "`repair` mends what can be mended, `salvage` gets out what is intact"};
}

} // namespace

std::vector<SpaceRange> Blob::longest_ranges(std::uint64_t offset_bytes,
                                             std::uint64_t length_bytes) const {
  std::vector<SpaceRange> parts;
  for (const PageRun& run : runs) {
    const std::uint64_t run_bytes = std::uint64_t{run.page_count} * block_size_bytes;
    if (offset_bytes >= run_bytes) {
      offset_bytes -= run_bytes;
      continue;
    }
    const std::uint64_t length = std::min(length_bytes, run_bytes - offset_bytes);
    if (length > 0) {
      parts.push_back({(std::uint64_t{run.first_page} * block_size_bytes) + offset_bytes,
                       static_cast<std::uint32_t>(length)});
    }
    length_bytes -= length;
    offset_bytes = 0;
  }
  assert(length_bytes == 0);
  return parts;
}

std::vector<SpaceRange> Blob::ranges_within_pages(std::uint64_t offset_bytes,
                                                  std::uint64_t length_bytes) const {
  std::vector<SpaceRange> parts;
  for (const SpaceRange& extent : longest_ranges(offset_bytes, length_bytes)) {
    for (std::uint32_t done = 0; done < extent.length_bytes;) {
      const std::uint64_t offset = extent.offset_bytes + done;
      const auto in_page =
          static_cast<std::uint32_t>(block_size_bytes - (offset % block_size_bytes));
      parts.push_back({offset, std::min(extent.length_bytes - done, in_page)});
      done += parts.back().length_bytes;
    }
  }
  return parts;
}

Directory::Directory(std::uint32_t page_count)
    : page_count_(page_count), free_page_count_(page_count), holes_{{0, page_count}} {
  add_directory_page(0);
}

bool Directory::take(const PageRun& run) {
  auto hole = holes_.upper_bound(run.first_page);
  if (hole == holes_.begin() || run.page_count == 0) {
    return false;
  }
  --hole;
  const auto [first, count] = *hole;
  const std::uint32_t before = run.first_page - first;
  if (before >= count || run.page_count > count - before) {
    return false;
  }
  holes_.erase(hole);
  if (before > 0) {
    holes_.emplace(first, before);
  }
  if (before + run.page_count < count) {
    holes_.emplace(run.first_page + run.page_count, count - before - run.page_count);
  }
  free_page_count_ -= run.page_count;
  return true;
}

void Directory::release(const PageRun& run) {
  auto hole = holes_.emplace(run.first_page, run.page_count).first;
  free_page_count_ += run.page_count;
  if (const auto next = std::next(hole);
      next != holes_.end() && next->first == hole->first + hole->second) {
    hole->second += next->second;
    holes_.erase(next);
  }
  if (hole != holes_.begin()) {
    const auto previous = std::prev(hole);
    if (previous->first + previous->second == hole->first) {
      previous->second += hole->second;
      holes_.erase(hole);
    }
  }
}

void Directory::add_entries_of(std::uint32_t page) {
  pages_.push_back(page);
  for (std::size_t i = 0; i < format::directory_entries_per_page; ++i) {
    free_entries_.insert(entry_offset(page, i));
  }
}

void Directory::add_directory_page(std::uint32_t page) {
  const bool free = take({page, 1});
  assert(free);
  add_entries_of(page);
}

Status Directory::add_page(std::uint32_t page, const format::DirectoryPage& content) {
  if (page != 0) {
    if (pages_.size() == directory_pages_max) {
      return corrupt_entry(page, 0, "more directory pages than all blobs can need");
    }
    if (!take({page, 1})) {
      return corrupt_entry(page, 0, "the page lies outside, or has another owner");
    }
    add_entries_of(page);
  }
  for (std::size_t i = 0; i < content.entries.size(); ++i) {
    if (format::is_free(content.entries[i])) {
      continue;
    }
    const char* reason = nullptr;
    auto decoded = format::decode_directory_entry(content.entries[i], reason);
    if (!decoded) {
      return corrupt_entry(page, i, reason);
    }
    for (const PageRun& run : decoded->runs) {
      if (!take(run)) {
        return corrupt_entry(page, i, "its pages lie outside, or have another owner");
      }
    }
    std::string name = decoded->info.name;
    Blob blob{std::move(decoded->info), std::move(decoded->runs), entry_offset(page, i), {}};
    if (!blobs_.emplace(name, std::move(blob)).second) {
      return corrupt_entry(page, i, fmt::format("a second blob \"{}\"", name));
    }
    free_entries_.erase(entry_offset(page, i));
  }
  return {};
}

const Blob* Directory::find(std::string_view name) const {
  const auto found = blobs_.find(name);
  return found == blobs_.end() ? nullptr : &found->second;
}

Blob* Directory::find(std::string_view name) {
  const auto found = blobs_.find(name);
  return found == blobs_.end() ? nullptr : &found->second;
}

std::string Directory::owner_of(std::uint32_t page) const {
  if (std::find(pages_.begin(), pages_.end(), page) != pages_.end()) {
    return "the directory";
  }
  for (const auto& [name, blob] : blobs_) {
    for (const PageRun& run : blob.runs) {
      if (page >= run.first_page && page - run.first_page < run.page_count) {
        return name;
      }
    }
  }
  return {};
}

std::optional<std::vector<PageRun>> Directory::find_free(std::uint32_t page_count,
                                                         std::size_t runs_max) const {
  const auto fits = std::find_if(holes_.begin(), holes_.end(),
                                 [&](const auto& hole) { return hole.second >= page_count; });
  if (fits != holes_.end()) {
    return std::vector<PageRun>{{fits->first, page_count}};
  }
  // In pieces, the largest first: the fewest runs.
  std::vector<PageRun> holes;
  for (const auto& [first, count] : holes_) {
    holes.push_back({first, count});
  }
  std::sort(holes.begin(), holes.end(),
            [](const PageRun& a, const PageRun& b) { return a.page_count > b.page_count; });
  std::vector<PageRun> runs;
  for (const PageRun& hole : holes) {
    if (page_count == 0 || runs.size() == runs_max) {
      break;
    }
    runs.push_back({hole.first_page, std::min(hole.page_count, page_count)});
    page_count -= runs.back().page_count;
  }
  return page_count == 0 ? std::optional(runs) : std::nullopt;
}

std::optional<std::uint64_t> Directory::find_free_entry() const {
  return free_entries_.empty() ? std::nullopt : std::optional(*free_entries_.begin());
}

void Directory::add(Blob blob) {
  for (const PageRun& run : blob.runs) {
    const bool free = take(run);
    assert(free);
  }
  free_entries_.erase(blob.entry_offset_bytes);
  std::string name = blob.info.name;
  const bool added = blobs_.emplace(std::move(name), std::move(blob)).second;
  assert(added);
}

void Directory::extend(Blob& blob, const std::vector<PageRun>& runs) {
  for (const PageRun& run : runs) {
    const bool free = take(run);
    assert(free);
    if (!blob.runs.empty() &&
        blob.runs.back().first_page + blob.runs.back().page_count == run.first_page) {
      blob.runs.back().page_count += run.page_count;
    } else {
      blob.runs.push_back(run);
    }
  }
}

void Directory::remove(std::string_view name) {
  const auto found = blobs_.find(name);
  assert(found != blobs_.end());
  for (const PageRun& run : found->second.runs) {
    release(run);
  }
  free_entries_.insert(found->second.entry_offset_bytes);
  blobs_.erase(found);
}

void Directory::grow(std::uint32_t page_count) {
  assert(page_count >= page_count_);
  if (page_count > page_count_) {
    release({page_count_, page_count - page_count_});
    page_count_ = page_count;
  }
}

} // namespace vnvram
