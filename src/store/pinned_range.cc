#include "store/pinned_range.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include <fmt/core.h>

#include "format/superblock_pair.h"

namespace vnvram {

namespace {

std::uint32_t page_under(const SpaceRange& range) {
  return static_cast<std::uint32_t>(range.offset_bytes / block_size_bytes);
}

} // namespace

Status PinnedRange::check_readable(const Blob& blob) const {
  for (const Attribute& attribute : blob.info.attributes) {
    if (attribute.must_know && !state_.known_attributes.contains(attribute.name)) {
      return Error{ErrorKind::too_new,
                   fmt::format("blob {}: attribute {} must be known to use its bytes",
                               blob.info.name, attribute.name),
                   "use a program that knows it"};
    }
  }
  return {};
}

Result<bool> PinnedRange::collect() {
  const Blob* blob = state_.directory.find(wanted_.name);
  if (blob == nullptr) {
    return state_.of_this_image({ErrorKind::not_found, fmt::format("no blob {}", wanted_.name),
                                 "`ls` shows what is there"});
  }
  const Status readable = check_readable(*blob);
  if (!readable) {
    return state_.of_this_image(readable.error());
  }
  const std::uint64_t length = wanted_.length_bytes.value_or(
      state_.deferred.size_bytes(wanted_.name, blob->info.size_bytes));
  if (wanted_.offset_bytes > blob->info.size_max_bytes ||
      length > blob->info.size_max_bytes - wanted_.offset_bytes) {
    return state_.of_this_image(
        {ErrorKind::too_large,
         fmt::format("blob {}: {} bytes from {} are beyond its largest size of {}", wanted_.name,
                     length, wanted_.offset_bytes, blob->info.size_max_bytes)});
  }
  ranges_ = blob->ranges_within_pages(wanted_.offset_bytes, length);
  if (wanted_.to_change) {
    ranges_.push_back({.offset_bytes = blob->entry_offset_bytes, .length_bytes = 0});
  }
  const std::uint64_t generation =
      std::max(blob->info.generation, blob->info.registered_generation);
  if (generation_ != generation && !wanted_.to_change) {
    pages_.clear(); // Pages of another generation, or of another blob of the same name.
  }
  generation_ = generation;
  pages_.resize(ranges_.size());
  bool complete = true;
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    if (pages_[i] == nullptr) {
      pages_[i] = state_.pages.lookup(page_under(ranges_[i]));
      complete = complete && pages_[i] != nullptr;
    }
  }
  return complete;
}

Status PinnedRange::load() {
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    if (pages_[i] != nullptr) {
      continue;
    }
    Result<PageRef> loaded = state_.pages.load(page_under(ranges_[i]));
    if (!loaded) {
      return load_error(loaded.error());
    }
    pages_[i] = *std::move(loaded);
  }
  return {};
}

Error PinnedRange::load_error(const Error& error) const {
  if (!state_.writes() && error.kind() == ErrorKind::corrupt) {
    const Result<format::SuperblockPair> now = format::read_superblocks(*state_.device);
    if (now && now->current() != nullptr &&
        now->current()->sequence != state_.superblock.sequence) {
      return {ErrorKind::stale,
              fmt::format("{}: its owner has moved on since it was opened", state_.device->name()),
              "open it again"};
    }
  }
  return {error.kind(), fmt::format("blob {}: {}", wanted_.name, error.cause()), error.remedy()};
}

std::size_t PinnedRange::size_bytes() const {
  std::size_t size = 0;
  for (const SpaceRange& range : ranges_) {
    size += range.length_bytes;
  }
  return size;
}

void PinnedRange::copy_to(std::span<std::byte> bytes) const {
  assert(bytes.size() == size_bytes());
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    assert(pages_[i] != nullptr);
    std::memcpy(bytes.data(),
                pages_[i]->bytes.data() + (ranges_[i].offset_bytes % block_size_bytes),
                ranges_[i].length_bytes);
    bytes = bytes.subspan(ranges_[i].length_bytes);
  }
}

} // namespace vnvram
