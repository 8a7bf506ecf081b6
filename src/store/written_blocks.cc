#include "store/written_blocks.h"

#include <algorithm>
#include <span>

#include "base/random_bytes.h"
#include "vnvram/block_device.h"

namespace vnvram {
namespace {

// To read a little more at once costs less than to ask twice.
constexpr std::uint64_t gap_max_blocks = 16;

} // namespace

void WrittenBlocks::note_blocks(std::uint64_t offset_bytes, std::uint64_t size_bytes) {
  const std::uint64_t first = offset_bytes / block_size_bytes;
  const std::uint64_t end = (offset_bytes + size_bytes + block_size_bytes - 1) / block_size_bytes;
  const std::lock_guard lock(mutex_);
  if (written_.size() < end) {
    written_.resize(end);
  }
  std::fill(written_.begin() + static_cast<std::ptrdiff_t>(first),
            written_.begin() + static_cast<std::ptrdiff_t>(end), true);
}

std::uint64_t WrittenBlocks::begin() {
  const std::lock_guard lock(mutex_);
  written_.clear();
  if (!random_bytes(std::as_writable_bytes(std::span(&number_, 1)))) {
    number_ = 0;
  }
  notes_ = number_ != 0;
  return number_;
}

bool WrittenBlocks::take(std::uint64_t number, std::vector<ByteRange>& ranges) {
  ranges.clear();
  const std::lock_guard lock(mutex_);
  if (number == 0 || number != number_) {
    return false;
  }
  for (std::uint64_t block = 0; block < written_.size(); ++block) {
    if (!written_[block]) {
      continue;
    }
    const std::uint64_t at = block * block_size_bytes;
    if (ranges.empty() || ranges.back().end_bytes() + gap_max_blocks * block_size_bytes < at) {
      ranges.push_back({.offset_bytes = at});
    }
    ranges.back().length_bytes = at + block_size_bytes - ranges.back().offset_bytes;
  }
  written_.clear();
  return true;
}

} // namespace vnvram
