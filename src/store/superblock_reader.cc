#include "store/superblock_reader.h"

#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "format/superblock_pair.h"
#include "store/third_copy.h"

namespace vnvram {

using format::CheckedSuperblock;
using format::SuperblockPair;
using format::SuperblockState;

namespace {

// clang-format off
// Open, first half: what the two copies say. The first row that fits decides. (The second half,
// what the table, the ring and the directory say, can only add "corrupt": see OnDamage::stop.)
//
//   one copy is ...   the other is ...        result
//   too new           anything                too new: a newer writer was here, its word is the newer
//   bogus             anything else           corrupt: whole, and yet nothing that a writer leaves
//   valid             anything else           ours; the valid one with the higher sequence is current;
//                                             corrupt if the two cannot be of one image
//   damaged           damaged, zero, other    corrupt: our magic is there
//   other data, zero  other data, zero        corrupt if a third copy is whole: the beginning was overwritten
//   other data        other data, zero        foreign
//   zero              zero                    blank if the beginning and the end are zero, else foreign
// clang-format on
enum class Verdict { too_new, ours, corrupt, foreign, blank_or_foreign };

struct Row {
  SuperblockState either;
  Verdict verdict;
};
constexpr std::array<Row, 6> decision_table = {{
    {SuperblockState::too_new, Verdict::too_new},
    {SuperblockState::bogus, Verdict::corrupt},
    {SuperblockState::valid, Verdict::ours},
    {SuperblockState::damaged, Verdict::corrupt},
    {SuperblockState::no_magic, Verdict::foreign},
    {SuperblockState::zero, Verdict::blank_or_foreign},
}};

const Row& decide(const SuperblockPair& pair) {
  return *std::find_if(decision_table.begin(), decision_table.end(), [&](const Row& row) {
    return pair.copies[0].state == row.either || pair.copies[1].state == row.either;
  });
}

Error foreign(const BlockDevice& device) {
  return {ErrorKind::foreign,
          fmt::format("{}: holds data that is not a vNVRAM image", device.name()),
          "check the name; `create --force` would overwrite it"};
}

Error refusal(BlockDevice& device, const SuperblockPair& pair, Verdict verdict) {
  switch (verdict) {
  case Verdict::too_new: {
    const auto& newer = pair.copies[pair.copies[0].state == SuperblockState::too_new ? 0 : 1];
    return {ErrorKind::too_new,
            fmt::format("{}: written by a newer vNVRAM ({} {})", device.name(), newer.reason,
                        newer.superblock.format_version),
            "use the version that wrote it, or a later one"};
  }
  case Verdict::corrupt:
    return {ErrorKind::corrupt,
            fmt::format("{}: {} (A: {}, B: {})", device.name(),
                        pair.current() == nullptr ? "no superblock is whole"
                                                  : "one superblock cannot be",
                        describe_copy(pair.copies[0]), describe_copy(pair.copies[1])),
            "`repair` mends what can be mended; `dump` shows what is left"};
  default: return foreign(device);
  }
}

} // namespace

const char* describe_copy(const CheckedSuperblock& copy) {
  switch (copy.state) {
  case SuperblockState::valid: return "whole";
  case SuperblockState::zero: return "all zero";
  case SuperblockState::no_magic: return "not a superblock";
  default: return copy.reason;
  }
}

Error cut_off(const std::string& name, const format::Superblock& superblock,
              std::uint64_t device_size_bytes) {
  return {ErrorKind::corrupt,
          fmt::format("{}: the image is {} bytes long and the device only {}", name,
                      superblock.image_block_count * block_size_bytes, device_size_bytes),
          "if only its unused end was cut off, giving it its length back makes it whole; "
          "`salvage` gets out what is intact"};
}

Status check_counters(const std::string& name, const format::Superblock& superblock,
                      std::uint64_t generation) {
  const char* worn = format::worn_counter(superblock, generation);
  return worn == nullptr
             ? Status{}
             : Error{ErrorKind::corrupt,
                     fmt::format("{}: its {} is at its end, which no image reaches in use: nothing "
                                 "more can be written",
                                 name, worn),
                     "`salvage` makes a fresh image of it"};
}

Result<format::Superblock> find_superblock_of_any_length(BlockDevice& device) {
  const Result<SuperblockPair> pair = format::read_superblocks(device);
  if (!pair) {
    return pair.error();
  }
  const Row& row = decide(*pair);
  if (row.verdict == Verdict::blank_or_foreign || row.verdict == Verdict::foreign) {
    const auto third = read_third_copy(device);
    if (third && *third) {
      return beginning_overwritten(device, **third);
    }
  }
  if (row.verdict == Verdict::blank_or_foreign) {
    const Result<bool> blank = format::is_blank(device);
    if (!blank) {
      return blank.error();
    }
    return *blank ? Error{ErrorKind::blank, fmt::format("{}: holds nothing", device.name()),
                          "`create` makes an image of it"}
                  : foreign(device);
  }
  if (row.verdict != Verdict::ours) {
    return refusal(device, *pair, row.verdict);
  }
  const format::Superblock& current = *pair->current();
  if (const char* reason = pair->contradiction(); reason != nullptr) {
    return Error{ErrorKind::corrupt,
                 fmt::format("{}: superblock {} cannot be beside the other one: {}", device.name(),
                             current.copy == 0 ? 'B' : 'A', reason),
                 "`repair` mends it if the other one leads to a whole image"};
  }
  return current;
}

Result<format::Superblock> find_superblock(BlockDevice& device) {
  Result<format::Superblock> current = find_superblock_of_any_length(device);
  const Result<std::uint64_t> size = device.size_bytes();
  if (!current || !size) {
    return current ? size.error() : current.error();
  }
  if (*size / block_size_bytes < current->image_block_count) {
    return cut_off(device.name(), *current, *size);
  }
  return current;
}

} // namespace vnvram
