// Where two buffers differ, in as few ranges as pay off.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>

namespace vnvram {

/// Equal bytes between two differences that are fewer than this are not left out: an extent costs
/// 16 bytes, and few extents make short records to check.
inline constexpr std::size_t difference_gap_min_bytes = 64;

/// Calls on_range(begin, length) for each range in which the buffers, of equal size, differ.
template <typename OnRange>
void for_each_difference(std::span<const std::byte> before, std::span<const std::byte> after,
                         OnRange on_range) {
  const std::size_t size = before.size();
  if (size == 0 || std::memcmp(before.data(), after.data(), size) == 0) {
    return;
  }
  const auto differs_at = [&](std::size_t from) { // the next difference, or size
    while (from + 8 <= size && std::memcmp(&before[from], &after[from], 8) == 0) {
      from += 8;
    }
    while (from < size && before[from] == after[from]) {
      ++from;
    }
    return from;
  };
  std::size_t begin = differs_at(0);
  while (begin < size) {
    std::size_t end = begin + 1;
    std::size_t next = size;
    for (;;) {
      while (end + 8 <= size && std::memcmp(&before[end], &after[end], 8) != 0) {
        end += 8; // By words: a few equal bytes more are cheaper than looking at each.
      }
      next = differs_at(end);
      if (next == size || next - end >= difference_gap_min_bytes) {
        break;
      }
      end = next + 1;
    }
    on_range(begin, end - begin);
    begin = next;
  }
}

} // namespace vnvram
