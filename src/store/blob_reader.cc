#include "store/blob_reader.h"

#include <exception>
#include <optional>
#include <utility>

namespace vnvram {

namespace {

// How often a range is loaded beside commits before they have to wait for it.
constexpr unsigned reading_tries = 8;

} // namespace

Result<std::vector<std::byte>> BlobReader::read(std::string_view name) {
  std::vector<std::byte> content;
  Read whole{.wanted = {.name = name, .length_bytes = std::nullopt}, .content = &content};
  const Status done = carry_out(whole);
  return done ? Result<std::vector<std::byte>>(std::move(content)) : done.error();
}

Status BlobReader::read_range(std::string_view name, std::uint64_t offset_bytes,
                              std::span<std::byte> bytes) {
  Read part{.wanted = {.name = name, .offset_bytes = offset_bytes, .length_bytes = bytes.size()},
            .bytes = bytes};
  return carry_out(part);
}

Status BlobReader::carry_out(Read& read) {
  PinnedRange pinned(state_, read.wanted);
  Result<bool> done = false;
  for (unsigned tries = 0; done && !*done && tries < reading_tries; ++tries) {
    done = try_to_read(read, pinned);
  }
  if (done && !*done) { // Commits change it faster than it can be loaded.
    done = read_in_turn(read, pinned);
  }
  return done ? Status{} : done.error();
}

Result<bool> BlobReader::try_to_read(Read& read, PinnedRange& pinned) {
  Result<bool> complete = false;
  {
    const std::lock_guard lock(state_.mutex);
    complete = pinned.collect();
    if (!complete) {
      return complete;
    }
    // Pages stay as they are. What was deferred does not.
    if (*complete && state_.deferred.waits_for(read.wanted.name)) {
      copy(read, pinned);
      state_.deferred.lay_over(read.wanted.name, read.wanted.offset_bytes, read.bytes);
      return true;
    }
  }
  if (*complete) {
    copy(read, pinned);
    return true;
  }
  const Status loaded = pinned.load();
  return loaded ? complete : loaded.error();
}

void BlobReader::copy(Read& read, const PinnedRange& pinned) {
  if (read.content != nullptr) {
    read.content->resize(pinned.size_bytes());
    read.bytes = *read.content;
  }
  pinned.copy_to(read.bytes);
}

// What is loaded in the turn is there the next time, since nothing is installed in between. A write
// that is deferred meanwhile may make the blob longer, and what is to be read with it: up to its
// largest size.
Result<bool> BlobReader::read_in_turn(Read& read, PinnedRange& pinned) {
  Result<bool> done = false;
  std::exception_ptr failure; // It concerns this read alone.
  committer_.read_in_turn([&] {
    try {
      while (done && !*done) {
        done = try_to_read(read, pinned);
      }
    } catch (...) {
      failure = std::current_exception();
    }
  });
  if (failure) {
    std::rethrow_exception(failure);
  }
  return done;
}

} // namespace vnvram
