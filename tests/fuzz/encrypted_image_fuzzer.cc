// An encrypted image in the hands of somebody who can write to it and has no key: rot, blocks of
// earlier moments and of other places, arbitrary bytes with every checksum made right, key slots
// and metadata of his own. What is read was there, all of it at the same time, or nothing is read.
//
// An input: which image of the history, then steps; see Attacker::step(). An edit is a length, an
// offset in what is edited, and bytes.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include <fmt/core.h>

#include "format/checksum.h"
#include "format/header_copy.h"
#include "format/layout.h"
#include "fuzz/fuzz_input.h"
#include "fuzz/header_exerciser.h"
#include "fuzz/image_exerciser.h"
#include "fuzz/image_history.h"
#include "fuzz/require.h"
#include "vnvram/block_device.h"

namespace vnvram::fuzz {
namespace {

constexpr int attack_steps_max = 64;
constexpr std::size_t header_checksum_offset_bytes = 48;

class Attacker {
public:
  Attacker(Bytes& image, const ImageHistory& history) : image_(image), history_(history) {}

  void step(FuzzInput& input) {
    enum Step : std::uint8_t {
      bit,
      old_block,
      moved_block,
      raw,
      superblock,
      record,
      header,
      count
    };
    const auto step = static_cast<Step>(input.below(count));
    const std::size_t number = input.byte() % block_count();
    switch (step) {
    case bit: {
      const std::uint16_t place = input.word();
      block(number)[place / 8 % block_size_bytes] ^= static_cast<std::byte>(1U << (place % 8U));
      break;
    }
    case old_block: take_from_the_past(input, number); break;
    case moved_block:
      std::memmove(block(number).data(), block(input.byte() % block_count()).data(),
                   block_size_bytes);
      break;
    case raw: edit(input, block(number)); break;
    case superblock: edit_superblock(input); break;
    case record: edit_record(input, number); break;
    case header: edit_header(input); break;
    case count: break;
    }
  }

private:
  [[nodiscard]] std::size_t block_count() const { return image_.size() / block_size_bytes; }
  std::span<std::byte> block(std::size_t number) {
    return std::span(image_).subspan(number * block_size_bytes, block_size_bytes);
  }

  static void edit(FuzzInput& input, std::span<std::byte> target) {
    const std::size_t length = input.byte();
    const std::size_t offset = input.word() % target.size();
    const auto bytes = input.bytes(std::min(length, target.size() - offset));
    std::ranges::copy(bytes, target.begin() + static_cast<std::ptrdiff_t>(offset));
  }

  /// From here on as many blocks as the input says, of one moment.
  void take_from_the_past(FuzzInput& input, std::size_t first) {
    const Bytes& before = history_.images()[input.below(history_.images().size())];
    const std::size_t blocks = std::min<std::size_t>(input.byte() + 1U, block_count() - first);
    std::copy_n(before.begin() + static_cast<std::ptrdiff_t>(first * block_size_bytes),
                blocks * block_size_bytes, block(first).begin());
  }

  void edit_superblock(FuzzInput& input) {
    const std::size_t copy = input.below(format::third_copy + 1);
    const auto bytes =
        block(copy < format::superblock_count ? copy
                                              : block_count() - format::third_copy_blocks_from_end);
    const auto body = bytes.first(offsetof(format::Superblock, checksum));
    edit(input, body.first(input.below(2) == 0 ? std::size_t{408} : body.size()));
    const std::uint64_t checksum = format::checksum(body, 0);
    std::memcpy(bytes.data() + body.size(), &checksum, sizeof(checksum));
  }

  /// If one is there.
  void edit_record(FuzzInput& input, std::size_t number) {
    format::RecordHeader record{};
    std::memcpy(&record, block(number).data(), sizeof(record));
    if (record.magic != format::record_magic || record.block_count == 0 ||
        record.block_count > block_count() - number) {
      return;
    }
    const auto bytes = std::span(image_).subspan(
        number * block_size_bytes, std::size_t{record.block_count} * block_size_bytes);
    edit(input, bytes.first(input.below(2) == 0 ? sizeof(record) : bytes.size()));
    format::Superblock superblock{};
    std::memcpy(&superblock, block(0).data(), sizeof(superblock));
    constexpr std::size_t covered =
        offsetof(format::RecordHeader, checksum) + sizeof(std::uint64_t);
    const std::uint64_t checksum = format::checksum(bytes.subspan(covered), superblock.salt);
    std::memcpy(bytes.data() + offsetof(format::RecordHeader, checksum), &checksum,
                sizeof(checksum));
  }

  /// Of one copy, or of both alike.
  void edit_header(FuzzInput& input) {
    const auto part =
        input.below(2) == 0 ? format::HeaderPart::key_slots : format::HeaderPart::metadata;
    const std::size_t which = input.below(format::header_copy_count + 1);
    const FuzzInput edit_of_each = input;
    for (unsigned copy = 0; copy < format::header_copy_count; ++copy) {
      if (which == format::header_copy_count || which == copy) {
        input = edit_of_each;
        edit_header_copy(input, format::start_blocks_of(part).at(copy));
      }
    }
  }

  void edit_header_copy(FuzzInput& input, std::size_t number) {
    const auto bytes =
        std::span(image_).subspan(number * block_size_bytes, format::header_copy_size_bytes);
    // Most of it is zero: half of the edits go to where something is.
    edit(input, bytes.first(input.below(2) == 0 ? std::size_t{512} : bytes.size()));
    std::fill_n(bytes.begin() + header_checksum_offset_bytes, sizeof(std::uint64_t), std::byte{});
    const std::uint64_t checksum = format::checksum(bytes, 0);
    std::memcpy(bytes.data() + header_checksum_offset_bytes, &checksum, sizeof(checksum));
  }

  Bytes& image_;
  const ImageHistory& history_;
};

} // namespace
} // namespace vnvram::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size_bytes) {
  using namespace vnvram::fuzz;
  const auto& history = ImageHistory::encrypted();
  FuzzInput input(data, size_bytes);
  Bytes image = history.images()[input.below(history.images().size())];
  Attacker attacker(image, history);
  for (int step = 0; step < attack_steps_max && !input.empty(); ++step) {
    attacker.step(input);
  }
  const auto disk = std::make_shared<vnvram::MemoryDisk>(std::move(image));
  exercise_header(disk, history);
  exercise_image(disk, history, past_states_of(history));
  return 0;
}
