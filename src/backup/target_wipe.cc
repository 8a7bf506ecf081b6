#include "backup/target_wipe.h"

#include <algorithm>
#include <span>
#include <vector>

#include <fmt/core.h>

#include "format/layout.h"
#include "store/third_copy.h"
#include "vnvram/store.h"

namespace vnvram {

namespace {

constexpr std::uint64_t piece_blocks = 256;

} // namespace

// As a new image's: whatever else happens, no old one's superblock can win. The third one, which
// wins nothing, goes last: until then it tells a second try how far there is something to wipe.
Status TargetWipe::run(bool is_blank) {
  const Result<std::uint64_t> size = target_.size_bytes();
  block_count_ = size ? *size / block_size_bytes : 0;
  const Result<std::uint64_t> end = size && !is_blank ? old_end() : size;
  const auto third = end ? look_at_third_copy(target_) : end.error();
  if (!third) {
    return third.error();
  }
  // The current one: its loss is what a source shows for certain, and what the other one makes up
  // for if a cut comes now and they are the same.
  Status done = wipe_one_and_look(look_.current.copy, false);
  done = done ? write_zeros(0, format::superblock_count) : done;
  done = done ? target_.flush() : done;
  const std::uint64_t begin = look_.current.image_block_count;
  if (done && !is_blank && begin < *end) {
    done = write_zeros(begin, *end - begin);
    done = done ? target_.flush() : done;
  }
  const bool is_ours = third->state != format::SuperblockState::zero &&
                       third->state != format::SuperblockState::no_magic;
  return done ? wipe_third(is_ours) : done;
}

Status TargetWipe::look_only() {
  return wipe_one_and_look(look_.current.copy, true);
}

// Of an image whose superblocks are lost it may be anywhere that an image can be.
Result<std::uint64_t> TargetWipe::old_end() {
  std::uint64_t end = 0;
  for (unsigned copy = 0; copy < format::superblock_count; ++copy) {
    const Result<Block> block = read_block(target_, copy);
    if (!block) {
      return block.error();
    }
    const format::CheckedSuperblock found = format::check_superblock(*block, copy);
    if (found.state == format::SuperblockState::valid) {
      end = std::max<std::uint64_t>(end, found.superblock.image_block_count);
    }
  }
  const auto third = read_third_copy(target_);
  if (!third) {
    return third.error();
  }
  if (*third) {
    end = std::max<std::uint64_t>(end, (*third)->image_block_count);
  }
  return std::min(block_count_, end == 0 ? image_size_max_bytes / block_size_bytes : end);
}

// `is_ours`: there is one, also where the device has no room for one of this image.
Status TargetWipe::wipe_third(bool is_ours) {
  const bool has_room = third_copy_block(look_.current.image_block_count, block_count_).has_value();
  Status done;
  if (const auto block = third_copy_block(0, block_count_); block && (has_room || is_ours)) {
    done = write_zeros(*block, 1);
  }
  return done ? target_.flush() : done;
}

Status TargetWipe::wipe_one_and_look(unsigned copy, bool is_kept) {
  const Block zeros{};
  const Result<Block> was = read_block(target_, copy);
  if (!was || *was == zeros) { // The source's is not.
    return was ? Status() : was.error();
  }
  Status done = target_.write_durable(copy * block_size_bytes, zeros);
  done = done ? target_.flush() : done; // Where a cache of another road to it could be asked.
  const Result<Block> seen = done ? read_block(source_, copy) : Result<Block>(done.error());
  const bool is_another = seen && *seen != zeros;
  if (is_another && !is_kept) {
    return {};
  }
  const Status restored = put_back(copy, *was);
  if (!restored) {
    return Error(restored.error().kind(),
                 fmt::format("{}; superblock {} was taken away by this copy and could not be put "
                             "back",
                             restored.error().cause(), copy == 0 ? 'A' : 'B'),
                 "`repair` mends an image there by its other superblock");
  }
  if (is_another) {
    return {};
  }
  return seen ? Error(ErrorKind::invalid_argument,
                      fmt::format("{} and {}: IMAGE and OUT are the same storage; nothing of it "
                                  "has changed",
                                  source_.name(), target_.name()),
                      "name another place")
              : seen.error();
}

// Unless its owner, who is there if they are the same, has written a newer one meanwhile.
Status TargetWipe::put_back(unsigned copy, const Block& content) {
  const Result<Block> now = read_block(target_, copy);
  if (!now) {
    return now.error();
  }
  Status done =
      *now == Block{} ? target_.write_durable(copy * block_size_bytes, content) : Status();
  return done ? target_.flush() : done;
}

Status TargetWipe::write_zeros(std::uint64_t block, std::uint64_t block_count) {
  const std::vector<std::byte> zeros(std::min(block_count, piece_blocks) * block_size_bytes);
  Status done;
  for (std::uint64_t at = 0; done && at < block_count; at += piece_blocks) {
    const std::uint64_t blocks = std::min(block_count - at, piece_blocks);
    done = target_.write((block + at) * block_size_bytes,
                         std::span(zeros).first(blocks * block_size_bytes));
  }
  return done;
}

} // namespace vnvram
