#include "backup/target_wipe.h"

#include <vector>

#include <fmt/core.h>

#include "format/layout.h"
#include "store/third_copy.h"

namespace vnvram {

// As a new image's: whatever else happens, no old one's superblock can win.
Status TargetWipe::run() {
  const Result<std::uint64_t> size = target_.size_bytes();
  if (!size) {
    return size.error();
  }
  // The current one: its loss is what a source shows for certain, and what the other one makes up
  // for if a cut comes now and they are the same.
  Status done = wipe_one_and_look(look_.current.copy);
  done = done ? write_zeros(0, format::superblock_count) : done;
  const auto third = third_copy_block(look_.current.image_block_count, *size / block_size_bytes);
  done = done && third ? write_zeros(*third, 1) : done;
  return done ? target_.flush() : done;
}

Status TargetWipe::wipe_one_and_look(unsigned copy) {
  const Block zeros{};
  const Result<Block> was = read_block(target_, copy);
  if (!was || *was == zeros) { // The source's is not.
    return was ? Status() : was.error();
  }
  Status done = target_.write_durable(copy * block_size_bytes, zeros);
  done = done ? target_.flush() : done; // Where a cache of another road to it could be asked.
  const Result<Block> seen = done ? read_block(source_, copy) : Result<Block>(done.error());
  if (seen && *seen != zeros) {
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
  const std::vector<std::byte> zeros(block_count * block_size_bytes);
  return target_.write(block * block_size_bytes, zeros);
}

} // namespace vnvram
