#include "store/random_blocks.h"

#include <algorithm>
#include <span>
#include <vector>

#include "base/random_bytes.h"

namespace vnvram {
namespace {

constexpr std::uint64_t random_step_blocks = 256;

} // namespace

Status fill_with_random(BlockDevice& device, std::uint64_t from_block, std::uint64_t to_block,
                        const std::function<Status()>& before_each_step) {
  std::vector<std::byte> bytes(random_step_blocks * block_size_bytes);
  Status done;
  for (std::uint64_t block = from_block; done && block < to_block; block += random_step_blocks) {
    const auto some =
        std::span(bytes).first(std::min(random_step_blocks, to_block - block) * block_size_bytes);
    done = random_bytes(some);
    done = done && before_each_step ? before_each_step() : done;
    done = done ? device.write(block * block_size_bytes, some) : done;
  }
  return done;
}

} // namespace vnvram
