#include "store/deferred_writes.h"

#include <algorithm>
#include <cstring>

#include "format/layout.h"

namespace vnvram {

namespace {

// The directory entry of a blob that is written: its size, generation and producer.
constexpr std::uint64_t record_bytes_per_blob =
    sizeof(format::DirectoryEntry) + (4 * sizeof(format::RecordExtent));
// Of the cache's size, for each of the two batches: what one may take of the memory.
constexpr std::uint64_t deferred_share = 8;

} // namespace

DeferredWrites::Limits DeferredWrites::limits_for(const format::Geometry& geometry,
                                                  std::uint64_t cache_size_bytes) {
  const std::uint64_t record_size_bytes =
      std::uint64_t{geometry.record_block_count_max()} * block_size_bytes;
  return {.record_size_bytes =
              record_size_bytes - std::min(record_size_bytes, std::uint64_t{block_size_bytes}),
          .page_count = cache_size_bytes / deferred_share / block_size_bytes};
}

template <typename Visit>
void DeferredWrites::for_each_part(std::uint64_t offset_bytes, std::uint64_t length_bytes,
                                   Visit visit) {
  std::uint64_t done = 0;
  while (done < length_bytes) {
    const auto begin = static_cast<std::uint32_t>((offset_bytes + done) % block_size_bytes);
    const std::uint64_t length =
        std::min<std::uint64_t>(block_size_bytes - begin, length_bytes - done);
    visit(offset_bytes + done - begin, Run{begin, begin + static_cast<std::uint32_t>(length)},
          done);
    done += length;
  }
}

// Comparing with what is there can only leave bytes out, at the price of an extent that it saves.
std::uint64_t DeferredWrites::record_size_of(const PartialPage& page) {
  std::uint64_t size = 0;
  for (const Run& run : page.written) {
    size += run.end - run.begin + sizeof(format::RecordExtent);
  }
  return size;
}

void DeferredWrites::add_run(std::vector<Run>& written, Run run) {
  // Those that it touches become one with it.
  const auto first = std::find_if(written.begin(), written.end(),
                                  [&](const Run& other) { return other.end >= run.begin; });
  const auto last =
      std::find_if(first, written.end(), [&](const Run& other) { return other.begin > run.end; });
  if (first == last) {
    written.insert(first, run);
    return;
  }
  *first = {std::min(first->begin, run.begin), std::max((last - 1)->end, run.end)};
  written.erase(first + 1, last);
}

bool DeferredWrites::has_room(std::string_view blob, std::uint64_t offset_bytes,
                              std::uint64_t length_bytes) const {
  if (empty()) {
    return true;
  }
  const auto pages = collected_.pages.find(blob);
  std::size_t new_pages = 0;
  std::uint64_t record_size = pages == collected_.pages.end() ? record_bytes_per_blob : 0;
  for_each_part(offset_bytes, length_bytes, [&](std::uint64_t page, const Run& run, auto) {
    const bool known = pages != collected_.pages.end() && pages->second.contains(page);
    new_pages += known ? 0 : 1;
    record_size += run.end - run.begin + sizeof(format::RecordExtent);
  });
  return collected_.page_count + new_pages <= limits_.page_count &&
         collected_.record_size_bytes + record_size <= limits_.record_size_bytes;
}

DeferredWrites::Pages& DeferredWrites::make_room(std::string_view blob, std::uint64_t offset_bytes,
                                                 std::uint64_t length_bytes) {
  if (!collected_.pages.contains(blob)) {
    collected_.pages.try_emplace(std::string(blob));
    collected_.record_size_bytes += record_bytes_per_blob;
  }
  Pages& pages = collected_.pages.find(blob)->second;
  try {
    for_each_part(offset_bytes, length_bytes, [&](std::uint64_t page_offset_bytes, auto, auto) {
      if (!pages.contains(page_offset_bytes)) {
        pages.try_emplace(page_offset_bytes, std::make_unique<PartialPage>());
        ++collected_.page_count;
      }
      std::vector<Run>& written = pages.at(page_offset_bytes)->written;
      if (written.size() == written.capacity()) {
        written.reserve(std::max<std::size_t>(4, 2 * written.size()));
      }
    });
  } catch (...) {
    drop_unwritten(blob);
    throw;
  }
  return pages;
}

void DeferredWrites::drop_unwritten(std::string_view blob) {
  const auto found = collected_.pages.find(blob);
  collected_.page_count -= std::erase_if(
      found->second, [](const Pages::value_type& page) { return page.second->written.empty(); });
  if (found->second.empty()) {
    collected_.pages.erase(found);
    collected_.record_size_bytes -= record_bytes_per_blob;
  }
}

std::byte* DeferredWrites::written_part(Pages& pages, std::uint64_t page_offset_bytes, Run run) {
  PartialPage& page = *pages.at(page_offset_bytes);
  collected_.record_size_bytes -= record_size_of(page);
  add_run(page.written, run);
  collected_.record_size_bytes += record_size_of(page);
  return page.content.bytes.data() + run.begin;
}

void DeferredWrites::write(std::string_view blob, std::uint64_t offset_bytes,
                           std::span<const std::byte> bytes) {
  if (bytes.empty()) {
    return;
  }
  Pages& pages = make_room(blob, offset_bytes, bytes.size());
  for_each_part(
      offset_bytes, bytes.size(), [&](std::uint64_t page, const Run& run, std::uint64_t done) {
        std::memcpy(written_part(pages, page, run), bytes.data() + done, run.end - run.begin);
      });
}

void DeferredWrites::zero(std::string_view blob, std::uint64_t offset_bytes,
                          std::uint64_t length_bytes) {
  if (length_bytes == 0) {
    return;
  }
  Pages& pages = make_room(blob, offset_bytes, length_bytes);
  for_each_part(offset_bytes, length_bytes, [&](std::uint64_t page, const Run& run, auto) {
    std::memset(written_part(pages, page, run), 0, run.end - run.begin);
  });
}

void DeferredWrites::lay_over(std::string_view blob, std::uint64_t offset_bytes,
                              std::span<std::byte> bytes) const {
  const std::uint64_t end_bytes = offset_bytes + bytes.size();
  for (const Batch* batch : {&taken_, &collected_}) { // The later one last.
    const auto pages = batch->pages.find(blob);
    if (pages == batch->pages.end()) {
      continue;
    }
    const std::uint64_t first_page = offset_bytes - (offset_bytes % block_size_bytes);
    for (auto page = pages->second.lower_bound(first_page);
         page != pages->second.end() && page->first < end_bytes; ++page) {
      for (const Run& run : page->second->written) {
        const std::uint64_t begin = std::max(page->first + run.begin, offset_bytes);
        const std::uint64_t end = std::min(page->first + run.end, end_bytes);
        if (begin < end) {
          std::memcpy(bytes.data() + (begin - offset_bytes),
                      page->second->content.bytes.data() + (begin - page->first), end - begin);
        }
      }
    }
  }
}

std::uint64_t DeferredWrites::size_bytes(std::string_view blob, std::uint64_t durable_bytes) const {
  std::uint64_t size = durable_bytes;
  for (const Batch* batch : {&taken_, &collected_}) {
    const auto pages = batch->pages.find(blob);
    if (pages != batch->pages.end()) {
      const auto& [page_offset_bytes, page] = *pages->second.rbegin();
      size = std::max(size, page_offset_bytes + page->written.back().end);
    }
  }
  return size;
}

void DeferredWrites::keep_only(const std::function<bool(std::string_view blob)>& is_there) {
  for (auto blob = collected_.pages.begin(); blob != collected_.pages.end();) {
    const auto& [name, pages] = *blob;
    if (is_there(name)) {
      ++blob;
      continue;
    }
    for (const auto& [page_offset_bytes, page] : pages) {
      collected_.record_size_bytes -= record_size_of(*page);
    }
    collected_.record_size_bytes -= record_bytes_per_blob;
    collected_.page_count -= pages.size();
    blob = collected_.pages.erase(blob);
  }
}

Transaction DeferredWrites::take() {
  if (taken_.pages.empty()) {
    std::swap(taken_, collected_);
  }
  Transaction transaction;
  for (const auto& [blob, pages] : taken_.pages) {
    for (const auto& [page_offset_bytes, page] : pages) {
      for (const Run& run : page->written) {
        transaction.write_range(
            blob, page_offset_bytes + run.begin,
            std::span(page->content.bytes).subspan(run.begin, run.end - run.begin));
      }
    }
  }
  return transaction;
}

} // namespace vnvram
