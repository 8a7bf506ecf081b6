#include "device/guard_block.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string_view>

namespace vnvram {
namespace {

static_assert(std::endian::native == std::endian::little);

// swtpm's: a number of 8 bytes, the version, and a header as long as its own.
constexpr std::string_view swtpm_mark = "nilmptws";
constexpr std::size_t version_offset = 8;
constexpr std::byte unknown_version{255};
constexpr std::size_t header_size_offset = 10;
constexpr std::byte swtpm_header_size_bytes{192};

constexpr std::size_t our_mark_offset = 192;
constexpr std::string_view our_mark =
    "vNVRAM guard block 1: an image of vNVRAM begins at byte 4096\n";
constexpr std::size_t numbers_offset = 256;

// What stands in `taking_over` then; anything else is not it.
constexpr std::uint64_t taking_over_mark = 0x7265766f656b6174; // "takeover"

// Ours, behind the mark, little-endian.
struct Numbers {
  std::uint64_t taking_over;
  std::uint64_t image_size_bytes;
  std::uint64_t kept_offset_bytes;
  std::uint64_t kept_size_bytes;
};

} // namespace

GuardBlock read_guard(std::span<const std::byte> beginning) {
  GuardBlock guard;
  if (beginning.size() < guard_size_bytes ||
      std::memcmp(&beginning[our_mark_offset], our_mark.data(), our_mark.size()) != 0) {
    return guard;
  }
  Numbers numbers{};
  std::memcpy(&numbers, &beginning[numbers_offset], sizeof(numbers));
  const auto mark = beginning.first(swtpm_mark.size());
  if (std::ranges::all_of(mark, [](std::byte each) { return each == std::byte{0}; })) {
    guard.state = GuardBlock::State::reset_requested;
  } else if (numbers.taking_over == taking_over_mark) {
    guard.state = GuardBlock::State::taking_over;
  } else {
    guard.state = GuardBlock::State::whole;
  }
  guard.image_size_bytes = numbers.image_size_bytes;
  guard.kept_offset_bytes = numbers.kept_offset_bytes;
  guard.kept_size_bytes = numbers.kept_size_bytes;
  return guard;
}

void write_guard(const GuardBlock& guard, std::span<std::byte> block) {
  std::ranges::fill(block, std::byte{0});
  std::memcpy(block.data(), swtpm_mark.data(), swtpm_mark.size());
  block[version_offset] = unknown_version;
  block[header_size_offset] = swtpm_header_size_bytes;
  std::memcpy(&block[our_mark_offset], our_mark.data(), our_mark.size());
  const Numbers numbers{.taking_over =
                            guard.state == GuardBlock::State::taking_over ? taking_over_mark : 0,
                        .image_size_bytes = guard.image_size_bytes,
                        .kept_offset_bytes = guard.kept_offset_bytes,
                        .kept_size_bytes = guard.kept_size_bytes};
  std::memcpy(&block[numbers_offset], &numbers, sizeof(numbers));
}

} // namespace vnvram
