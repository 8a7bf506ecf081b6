#include "format/superblock_pair.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "format/all_zero.h"

namespace vnvram::format {

const char* SuperblockPair::contradiction() const {
  const bool both_valid = std::all_of(copies.begin(), copies.end(), [](const auto& copy) {
    return copy.state == SuperblockState::valid;
  });
  const Superblock* now = current();
  return both_valid ? format::contradiction(*now, copies[1 - now->copy].superblock) : nullptr;
}

const Superblock* SuperblockPair::current() const {
  const Superblock* best = nullptr;
  for (const CheckedSuperblock& copy : copies) {
    if (copy.state == SuperblockState::valid &&
        (best == nullptr || copy.superblock.sequence > best->sequence)) {
      best = &copy.superblock;
    }
  }
  return best;
}

Result<SuperblockPair> read_superblocks(BlockDevice& device) {
  const Result<std::uint64_t> size = device.size_bytes();
  if (!size) {
    return size.error();
  }
  SuperblockPair pair;
  for (unsigned copy = 0; copy < superblock_count; ++copy) {
    const std::uint64_t offset = copy * block_size_bytes;
    if (*size < offset + block_size_bytes) {
      continue;
    }
    std::array<std::byte, block_size_bytes> block{};
    const Status read = device.read(offset, block);
    if (!read) {
      return read.error();
    }
    pair.copies[copy] = check_superblock(block, copy);
  }
  return pair;
}

Result<bool> is_blank(BlockDevice& device) {
  constexpr std::uint64_t looked_at_bytes = std::uint64_t{1} << 20U;
  const Result<std::uint64_t> size = device.size_bytes();
  if (!size) {
    return size.error();
  }
  const std::uint64_t whole_bytes = *size / block_size_bytes * block_size_bytes;
  if (whole_bytes == 0) { // Less than a block can only be somebody's text.
    return *size == 0;
  }
  const std::uint64_t beginning_bytes = std::min(whole_bytes, looked_at_bytes);
  // The last sectors of a partition may be less than a block, and hold its label.
  for (const auto& [offset, end] : {std::pair{std::uint64_t{0}, beginning_bytes},
                                    std::pair{whole_bytes - beginning_bytes, *size}}) {
    std::vector<std::byte> content(static_cast<std::size_t>(end - offset));
    const Status read = content.empty() ? Status{} : device.read(offset, content);
    if (!read) {
      return read.error();
    }
    if (!all_zero(content)) {
      return false;
    }
  }
  return true;
}

} // namespace vnvram::format
