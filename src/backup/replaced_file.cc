#include "backup/replaced_file.h"

#include <filesystem>
#include <system_error>

#include "backup/superblock_look.h"
#include "backup/target_wipe.h"
#include "device/image_format.h"

namespace vnvram {
namespace {

constexpr int comparisons_max = 50;

/// A shorter one holds none.
bool has_superblocks(BlockDevice& file, const SuperblockLook& look) {
  for (unsigned copy = 0; copy < look.copies.size(); ++copy) {
    const Result<Block> block = read_block(file, copy);
    if (!block || *block != look.copies.at(copy)) {
      return false;
    }
  }
  return true;
}

} // namespace

Status check_replaced_file(BlockDevice& source, const BlockCopyTarget& target) {
  std::error_code none;
  if (!target.force || !std::filesystem::is_regular_file(target.path, none)) {
    return {};
  }
  // A VM image's own bytes: what is in it is in use by QEMU, whose locks say so.
  DeviceOptions raw;
  raw.image_format = image_format_name(ImageFormat::raw);
  const auto file = open_device(target.path, Access::read_write, raw);
  if (!file) {
    return {}; // Who replaces it says what is wrong.
  }
  if (Status locked = (*file)->lock_for_writing(); !locked) {
    return locked;
  }
  // Until one look at the source is as long as the comparison: its owner may go on.
  for (int comparisons = 0; comparisons < comparisons_max; ++comparisons) {
    const Result<SuperblockLook> look = look_at_superblocks(source);
    if (!look) {
      return look.error();
    }
    if (has_superblocks(**file, *look)) {
      return TargetWipe(source, **file, *look).look_only();
    }
    const Result<SuperblockLook> after = look_at_superblocks(source);
    if (!after || after->is_as(*look)) {
      return after ? Status() : after.error();
    }
  }
  return too_fast(source);
}

} // namespace vnvram
