#include "rpc/message_framing.h"

#include <algorithm>

#include "rpc/lane_frame.h"

namespace vnvram {
namespace {

constexpr std::size_t word_bytes = 8;
constexpr std::size_t number_bytes = 4;
constexpr std::uint32_t segments_max = 512; // Cap'n Proto's own bound.

} // namespace

void MessageFraming::take(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    bytes = bytes.subspan(take_message(bytes));
  }
}

std::size_t MessageFraming::take_message(std::span<const std::byte> bytes) {
  std::size_t taken = 0;
  do {
    taken += is_nonsense_ ? bytes.size() - taken : take_part(bytes.subspan(taken));
  } while (taken < bytes.size() && !is_between_messages());
  return taken;
}

std::size_t MessageFraming::take_part(std::span<const std::byte> bytes) {
  if (missing_bytes_ > 0) {
    const auto taken =
        static_cast<std::size_t>(std::min<std::uint64_t>(missing_bytes_, bytes.size()));
    missing_bytes_ -= taken;
    return taken;
  }
  const std::size_t wanted = table_.size() < number_bytes ? number_bytes : table_size_bytes_;
  const auto part = bytes.first(std::min(wanted - table_.size(), bytes.size()));
  table_.insert(table_.end(), part.begin(), part.end());
  finish_table();
  return part.size();
}

void MessageFraming::finish_table() {
  if (table_.size() < number_bytes) {
    return;
  }
  const std::uint32_t marked = load_frame_number(table_);
  const std::uint32_t others = marked == lane_frame_marker ? 0 : marked;
  if (others >= segments_max) {
    is_nonsense_ = true;
    return;
  }
  const std::size_t numbers = std::size_t{others} + 2;
  table_size_bytes_ = (numbers * number_bytes + word_bytes - 1) / word_bytes * word_bytes;
  if (table_.size() < table_size_bytes_) {
    return;
  }
  for (std::size_t segment = 1; segment < numbers; ++segment) {
    missing_bytes_ += std::uint64_t{word_bytes} *
                      load_frame_number(std::span(table_).subspan(segment * number_bytes));
  }
  table_.clear();
}

} // namespace vnvram
