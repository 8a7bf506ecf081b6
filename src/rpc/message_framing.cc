#include "rpc/message_framing.h"

#include <algorithm>

namespace vnvram {
namespace {

constexpr std::size_t word_bytes = 8;
constexpr std::size_t number_bytes = 4;
constexpr std::uint32_t segments_max = 512; // Cap'n Proto's own bound.

std::uint32_t load_little_endian(std::span<const std::byte> bytes) {
  std::uint32_t value = 0;
  for (std::size_t place = number_bytes; place-- > 0;) {
    value = value << 8U | std::to_integer<std::uint32_t>(bytes[place]);
  }
  return value;
}

} // namespace

void MessageFraming::take(std::span<const std::byte> bytes) {
  while (!bytes.empty() && !is_nonsense_) {
    std::size_t taken = 0;
    if (missing_bytes_ > 0) {
      taken = static_cast<std::size_t>(std::min<std::uint64_t>(missing_bytes_, bytes.size()));
      missing_bytes_ -= taken;
    } else {
      const std::size_t wanted = table_.size() < number_bytes ? number_bytes : table_size_bytes_;
      taken = std::min(wanted - table_.size(), bytes.size());
      const auto part = bytes.first(taken);
      table_.insert(table_.end(), part.begin(), part.end());
      finish_table();
    }
    bytes = bytes.subspan(taken);
  }
}

void MessageFraming::finish_table() {
  if (table_.size() < number_bytes) {
    return;
  }
  const std::uint32_t others = load_little_endian(table_);
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
                      load_little_endian(std::span(table_).subspan(segment * number_bytes));
  }
  table_.clear();
}

} // namespace vnvram
