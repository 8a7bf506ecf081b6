// Damage as devices do it: flipped bits, torn, lost and misplaced writes, cut ends. No checksum is
// made right again.
//
// An input: which image of the history, then steps; see apply_step().
#include <algorithm>
#include <cstdint>
#include <memory>

#include <fmt/core.h>

#include "fuzz/fuzz_input.h"
#include "fuzz/image_exerciser.h"
#include "fuzz/image_history.h"
#include "fuzz/require.h"
#include "support/random.h"
#include "vnvram/block_device.h"

namespace vnvram::fuzz {
namespace {

constexpr int steps_max = 64;
constexpr std::size_t sector_size_bytes = 512;

std::span<std::byte> block_of(Bytes& image, std::size_t number) {
  const std::size_t block_count = image.size() / block_size_bytes;
  return std::span(image).subspan((number % block_count) * block_size_bytes, block_size_bytes);
}

void copy_sectors(std::span<const std::byte> from, std::span<std::byte> to, std::uint8_t sectors) {
  for (std::size_t sector = 0; sector < block_size_bytes / sector_size_bytes; ++sector) {
    if (((unsigned{sectors} >> sector) & 1U) != 0) {
      std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(sector * sector_size_bytes),
                  sector_size_bytes,
                  to.begin() + static_cast<std::ptrdiff_t>(sector * sector_size_bytes));
    }
  }
}

void apply_step(FuzzInput& input, Bytes& image) {
  enum Step : std::uint8_t { flip_bit, zero, garbage, from_the_past, from_elsewhere, cut, count };
  const auto& past = ImageHistory::plain().images();
  const auto step = static_cast<Step>(input.below(count));
  if (image.size() < block_size_bytes) {
    return;
  }
  const auto block = block_of(image, input.byte());
  switch (step) {
  case flip_bit: {
    const std::uint16_t bit = input.word();
    block[bit / 8 % block_size_bytes] ^= static_cast<std::byte>(1U << (bit % 8U));
    break;
  }
  case zero: copy_sectors(Bytes(block_size_bytes), block, input.byte()); break;
  case garbage: {
    const std::uint8_t sectors = input.byte();
    copy_sectors(test::Random(input.byte()).bytes(block_size_bytes), block, sectors);
    break;
  }
  case from_the_past: {
    Bytes before = past[input.below(past.size())];
    const auto number = static_cast<std::size_t>(block.data() - image.data()) / block_size_bytes;
    copy_sectors(block_of(before, number), block, input.byte());
    break;
  }
  case from_elsewhere: {
    Bytes other(block_size_bytes);
    std::ranges::copy(block_of(image, input.byte()), other.begin());
    copy_sectors(other, block, input.byte());
    break;
  }
  case cut: image.resize(image.size() - std::min<std::size_t>(image.size(), input.word())); break;
  case count: break;
  }
}

} // namespace
} // namespace vnvram::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size_bytes) {
  using namespace vnvram::fuzz;
  const auto& history = ImageHistory::plain();
  FuzzInput input(data, size_bytes);
  Bytes image = history.images()[input.below(history.images().size())];
  for (int step = 0; step < steps_max && !input.empty(); ++step) {
    apply_step(input, image);
  }
  exercise_image(std::make_shared<vnvram::MemoryDisk>(std::move(image)), history,
                 past_states_of(history));
  return 0;
}
