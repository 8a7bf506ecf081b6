#include "keys/header_area.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "base/barrier.h"
#include "format/all_zero.h"

namespace vnvram {

using format::CheckedHeaderCopy;
using format::HeaderContent;
using format::HeaderCopyState;

namespace {

// How often a reader looks again when a writer changes what it reads.
constexpr int read_attempts_max = 100;

/// The first write of all puts a frame without entries into copy 0: a disk that tears inside a
/// sector leaves parts of it.
bool is_cut_first_write(std::span<const std::byte> bytes) {
  constexpr std::size_t frame_bytes =
      format::header_copy_size_bytes - format::header_content_max_bytes;
  return format::all_zero(bytes.subspan(frame_bytes));
}

std::uint64_t offset_of(format::HeaderPart part, unsigned copy) {
  return format::start_blocks_of(part).at(copy) * block_size_bytes;
}

} // namespace

Error HeaderArea::damaged(const char* reason) const {
  return {ErrorKind::corrupt,
          fmt::format("{}: the {} are damaged: {}", device_->name(),
                      part_ == format::HeaderPart::key_slots ? "key slots" : "public metadata",
                      reason),
          part_ == format::HeaderPart::key_slots
              ? "blocks 2 to 9 of an older copy of this image would have them"
              : ""};
}

Result<std::vector<std::byte>> HeaderArea::read_bytes() {
  std::vector<std::byte> bytes(format::header_copy_count * format::header_copy_size_bytes);
  for (unsigned copy = 0; copy < format::header_copy_count; ++copy) {
    const Status read = device_->read(
        offset_of(part_, copy), std::span(bytes).subspan(copy * format::header_copy_size_bytes,
                                                         format::header_copy_size_bytes));
    if (!read) {
      return read.error();
    }
  }
  return bytes;
}

Result<HeaderArea::Copies> HeaderArea::judge(std::span<const std::byte> bytes) {
  Copies copies;
  const char* fault = nullptr;
  for (unsigned copy = 0; copy < format::header_copy_count; ++copy) {
    CheckedHeaderCopy& checked = copies.checked.at(copy);
    checked = format::check_header_copy({.part = part_, .copy = copy, .uuid = uuid_},
                                        bytes.subspan(copy * format::header_copy_size_bytes)
                                            .first<format::header_copy_size_bytes>());
    if (checked.state == HeaderCopyState::damaged) {
      fault = checked.reason;
    } else if (checked.state == HeaderCopyState::valid) {
      if (copies.current && copies.checked.at(*copies.current).sequence == checked.sequence) {
        return damaged("both copies have the same sequence");
      }
      if (!copies.current || checked.sequence > copies.checked.at(*copies.current).sequence) {
        copies.current = copy;
      }
    }
  }
  if (!copies.current && fault != nullptr && !is_cut_first_write(bytes)) {
    return damaged(fault);
  }
  return copies;
}

// INV9c: a writer changes one copy after the other, and a reader that is slower than it can see
// both while they are being written. The same damage twice, with nothing written in between, is
// one.
Result<HeaderArea::Copies> HeaderArea::read_copies() {
  Result<std::vector<std::byte>> bytes = read_bytes();
  for (int attempt = 1; bytes; ++attempt) {
    Result<Copies> copies = judge(*bytes);
    if (copies || attempt == read_attempts_max) {
      return copies;
    }
    Result<std::vector<std::byte>> again = read_bytes();
    if (again && *again == *bytes) {
      return copies;
    }
    bytes = std::move(again);
  }
  return bytes.error();
}

Result<HeaderContent> HeaderArea::read() {
  Result<Copies> copies = read_copies();
  if (!copies) {
    return copies.error();
  }
  return copies->current ? std::move(copies->checked.at(*copies->current).content)
                         : HeaderContent{};
}

Result<HeaderArea::Condition> HeaderArea::look() {
  const Result<Copies> copies = read_copies();
  if (!copies && copies.error().kind() != ErrorKind::corrupt) {
    return copies.error();
  }
  Condition condition;
  if (!copies) {
    condition.is_lost = true;
    condition.damage = copies.error().cause();
    return condition;
  }
  if (!copies->current) {
    condition.is_empty = true;
    condition.is_zero = copies->checked.front().state == HeaderCopyState::zero;
    if (!condition.is_zero) {
      condition.damage = fmt::format("copy 0: {}", copies->checked.front().reason);
      condition.is_unfinished = true;
      condition.mendable = 0;
      condition.mended.resize(format::header_copy_size_bytes);
    }
    return condition;
  }
  const unsigned current = *copies->current;
  const CheckedHeaderCopy& whole = copies->checked.at(current);
  const CheckedHeaderCopy& other = copies->checked.at(1 - current);
  condition.is_empty = whole.content.entry_count == 0;
  const char* const weakness = other.state == HeaderCopyState::damaged ? other.reason
                               : other.state == HeaderCopyState::zero  ? "all zero"
                               : other.content == whole.content        ? ""
                                                                       : "it says something older";
  if (*weakness != '\0') {
    condition.damage = fmt::format("copy {}: {}", 1 - current, weakness);
    condition.is_unfinished = other.state != HeaderCopyState::damaged;
    condition.mendable = 1 - current;
    condition.mended = format::compose_header_copy(
        {.part = part_, .copy = 1 - current, .uuid = uuid_}, whole.sequence + 1, whole.content);
  }
  return condition;
}

Status HeaderArea::write_copy(unsigned copy, std::uint64_t sequence, const HeaderContent& content) {
  const auto bytes =
      format::compose_header_copy({.part = part_, .copy = copy, .uuid = uuid_}, sequence, content);
  return kept(Barrier::header_copy_durability)
             ? device_->write_durable(offset_of(part_, copy), bytes)
             : device_->write(offset_of(part_, copy), bytes);
}

// INV9a: one copy is whole, always. INV9b: both say the same in the end.
Status HeaderArea::write(const HeaderContent& content) {
  // What was just read may be in a cache only.
  Status done = device_->flush();
  if (!done) {
    return done;
  }
  const Result<Copies> copies = read_copies();
  if (!copies) {
    return copies.error();
  }
  std::uint64_t sequence = 1;
  unsigned other = 1;
  if (copies->current) {
    sequence = copies->checked.at(*copies->current).sequence;
    other = 1 - *copies->current;
  } else {
    // All of it but zeros is in one sector: a cut leaves this, or nothing as before.
    done = write_copy(0, sequence, {});
  }
  if (sequence > format::counter_max - 2) {
    return damaged("a sequence at its end");
  }
  if (done) {
    done = write_copy(other, sequence + 1, content);
  }
  if (done) {
    done = write_copy(1 - other, sequence + 2, content);
  }
  return done;
}

} // namespace vnvram
