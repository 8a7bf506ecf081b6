// How an engine reads: pages of one generation, without holding up commits.
#include <algorithm>
#include <cstring>
#include <exception>

#include <fmt/core.h>

#include "store/engine.h"
#include "store/superblock_reader.h"

namespace vnvram {

namespace {

// How often a range is loaded beside commits before they have to wait for it.
constexpr unsigned reading_tries = 8;

} // namespace

Status Engine::check_readable(const Blob& blob) const {
  for (const Attribute& attribute : blob.info.attributes) {
    if (attribute.must_know && !known_attributes_.contains(attribute.name)) {
      return Error{ErrorKind::too_new,
                   fmt::format("blob {}: attribute {} must be known to use its bytes",
                               blob.info.name, attribute.name),
                   "use a program that knows it"};
    }
  }
  return {};
}

Result<bool> Engine::collect(const Wanted& wanted, PinnedPages& pinned,
                             std::vector<SpaceRange>& ranges, const AtOneMoment& at_one_moment) {
  const std::lock_guard lock(mutex_);
  const Blob* blob = directory_.find(wanted.name);
  if (blob == nullptr) {
    return Error{ErrorKind::not_found, fmt::format("no blob {}", wanted.name),
                 "vnvram ls shows what is there"};
  }
  const Status readable = check_readable(*blob);
  if (!readable) {
    return readable.error();
  }
  const std::uint64_t length =
      wanted.length_bytes.value_or(deferred_.size_bytes(wanted.name, blob->info.size_bytes));
  if (wanted.offset_bytes > blob->info.size_max_bytes ||
      length > blob->info.size_max_bytes - wanted.offset_bytes) {
    return Error{ErrorKind::too_large,
                 fmt::format("blob {}: {} bytes from {} are beyond its largest size of {}",
                             wanted.name, length, wanted.offset_bytes, blob->info.size_max_bytes)};
  }
  ranges = blob->ranges(wanted.offset_bytes, length);
  if (wanted.to_change) {
    ranges.push_back({.offset_bytes = blob->entry_offset_bytes, .length_bytes = 0});
  }
  const std::uint64_t generation =
      std::max(blob->info.generation, blob->info.registered_generation);
  if (pinned.generation != generation && !wanted.to_change) {
    pinned.pages.clear(); // Pages of another generation, or of another blob of the same name.
  }
  pinned.generation = generation;
  pinned.pages.resize(ranges.size());
  bool complete = true;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (pinned.pages[i] == nullptr) {
      pinned.pages[i] =
          pages_.lookup(static_cast<std::uint32_t>(ranges[i].offset_bytes / block_size_bytes));
      complete = complete && pinned.pages[i] != nullptr;
    }
  }
  if (complete) {
    at_one_moment(ranges);
  }
  return complete;
}

Result<bool> Engine::try_to_pin(const Wanted& wanted, PinnedPages& pinned,
                                std::vector<SpaceRange>& ranges, const AtOneMoment& at_one_moment) {
  Result<bool> complete = collect(wanted, pinned, ranges, at_one_moment);
  if (!complete) {
    return of_this_image(complete.error());
  }
  for (std::size_t i = 0; i < ranges.size() && !*complete; ++i) {
    if (pinned.pages[i] != nullptr) {
      continue;
    }
    Result<PageRef> loaded =
        pages_.load(static_cast<std::uint32_t>(ranges[i].offset_bytes / block_size_bytes));
    if (!loaded) {
      return read_error(loaded.error(), wanted.name);
    }
    pinned.pages[i] = *std::move(loaded);
  }
  return complete;
}

// The content of a blob's pages changes only with its generation, so pages that were loaded one by
// one belong together if the generation is the same at the end.
Result<std::vector<SpaceRange>> Engine::pin(const Wanted& wanted, PinnedPages& pinned,
                                            const AtOneMoment& at_one_moment) {
  std::vector<SpaceRange> ranges;
  const auto pin_now = [&](unsigned tries) {
    Result<bool> complete = false;
    for (; complete && !*complete && tries > 0; --tries) {
      complete = try_to_pin(wanted, pinned, ranges, at_one_moment);
    }
    return complete;
  };
  Result<bool> complete = pin_now(reading_tries);
  while (complete && !*complete) { // Commits change it faster than it can be loaded.
    std::exception_ptr failure;    // It concerns this read alone.
    const Status still = run_directory_change([&](Directory&, Stage&) {
      try {
        complete = pin_now(2);
      } catch (...) {
        failure = std::current_exception();
      }
      return Status{};
    });
    if (failure) {
      std::rethrow_exception(failure);
    }
    if (!still) { // Nobody commits any more.
      complete = pin_now(2);
    }
  }
  return complete ? Result<std::vector<SpaceRange>>(std::move(ranges)) : complete.error();
}

Error Engine::read_error(const Error& error, std::string_view name) {
  if (!writes() && error.kind() == ErrorKind::corrupt) {
    const Result<SuperblockPair> now = read_superblocks(*device_);
    if (now && now->current() != nullptr && now->current()->sequence != superblock_.sequence) {
      return {ErrorKind::stale,
              fmt::format("{}: its owner has moved on since it was opened", device_->name()),
              "open it again"};
    }
  }
  return {error.kind(), fmt::format("blob {}: {}", name, error.cause()), error.remedy()};
}

namespace {

std::size_t size_of(std::span<const SpaceRange> ranges) {
  std::size_t size_bytes = 0;
  for (const SpaceRange& range : ranges) {
    size_bytes += range.length_bytes;
  }
  return size_bytes;
}

void copy_pages(std::span<const SpaceRange> ranges, std::span<const PageRef> pages,
                std::span<std::byte> to) {
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    std::memcpy(to.data(), pages[i]->bytes.data() + (ranges[i].offset_bytes % block_size_bytes),
                ranges[i].length_bytes);
    to = to.subspan(ranges[i].length_bytes);
  }
}

} // namespace

Status Engine::read_into(std::string_view name, std::uint64_t offset_bytes,
                         std::optional<std::uint64_t> length_bytes,
                         const std::function<std::span<std::byte>(std::size_t)>& room_for) {
  PinnedPages pinned;
  bool done = false;
  // Pages stay as they are. What was deferred does not.
  const auto copy_with_deferred = [&](std::span<const SpaceRange> ranges) {
    if (deferred_.waits_for(name)) {
      const std::span<std::byte> bytes = room_for(size_of(ranges));
      copy_pages(ranges, pinned.pages, bytes);
      deferred_.lay_over(name, offset_bytes, bytes);
      done = true;
    }
  };
  const auto ranges =
      pin({.name = name, .offset_bytes = offset_bytes, .length_bytes = length_bytes}, pinned,
          copy_with_deferred);
  if (!ranges) {
    return ranges.error();
  }
  if (!done) {
    copy_pages(*ranges, pinned.pages, room_for(size_of(*ranges)));
  }
  return {};
}

Result<std::vector<std::byte>> Engine::read(std::string_view name) {
  std::vector<std::byte> content;
  const Status done = read_into(name, 0, std::nullopt, [&](std::size_t size_bytes) {
    content.resize(size_bytes);
    return std::span(content);
  });
  return done ? Result<std::vector<std::byte>>(std::move(content)) : done.error();
}

Status Engine::read_range(std::string_view name, std::uint64_t offset_bytes,
                          std::span<std::byte> bytes) {
  return read_into(name, offset_bytes, bytes.size(), [&](std::size_t) { return bytes; });
}

} // namespace vnvram
