#include "rpc/lane_inbox.h"

#include <algorithm>
#include <cassert>
#include <cstdint>

#include "rpc/lane_frame.h"
#include "rpc/wire.h"

namespace vnvram {

bool LaneInbox::begin(std::span<const std::byte> header) {
  assert(missing_bytes() == 0);
  const std::uint64_t length_words = load_frame_number(header.subspan(lane_frame_header_bytes / 2));
  if (length_words == 0 || length_words > message_size_max_bytes / sizeof(capnp::word)) {
    return false;
  }
  message_ = kj::heapArray<capnp::word>(length_words);
  done_bytes_ = 0;
  return true;
}

std::size_t LaneInbox::take(std::span<const std::byte> bytes) {
  auto there = place();
  const auto part = bytes.first(std::min(bytes.size(), there.size()));
  std::ranges::copy(part, reinterpret_cast<std::byte*>(there.begin()));
  note_received(part.size());
  return part.size();
}

void LaneInbox::note_received(std::size_t count_bytes) {
  assert(count_bytes <= missing_bytes());
  done_bytes_ += count_bytes;
  if (missing_bytes() == 0) {
    done_bytes_ = 0;
    take_(kj::mv(message_));
  }
}

} // namespace vnvram
