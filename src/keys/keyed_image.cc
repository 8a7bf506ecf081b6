#include "keys/keyed_image.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "format/all_zero.h"
#include "format/superblock.h"

namespace vnvram {
namespace {

using format::CheckedSuperblock;
using format::SuperblockState;
using SuperblockCopies = std::array<CheckedSuperblock, format::superblock_count>;

bool is_whole(const CheckedSuperblock& copy) {
  return copy.state == SuperblockState::valid;
}

/// All is zero where an image would begin, and at the device's end: as for who opens an image.
Result<bool> is_blank(BlockDevice& device, std::uint64_t size_bytes) {
  constexpr std::uint64_t looked_at_bytes = std::uint64_t{1} << 20U;
  const std::uint64_t whole_bytes = size_bytes / block_size_bytes * block_size_bytes;
  if (whole_bytes == 0) {
    return size_bytes == 0;
  }
  const std::uint64_t beginning_bytes = std::min(whole_bytes, looked_at_bytes);
  for (const auto& [offset, end] : {std::pair{std::uint64_t{0}, beginning_bytes},
                                    std::pair{whole_bytes - beginning_bytes, size_bytes}}) {
    std::vector<std::byte> content(static_cast<std::size_t>(end - offset));
    if (const Status read = device.read(offset, content); !read) {
      return read.error();
    }
    if (!format::all_zero(content)) {
      return false;
    }
  }
  return true;
}

Error no_superblock(const std::string& name, const SuperblockCopies& copies, bool blank) {
  const auto any = [&](SuperblockState state) {
    return std::ranges::any_of(
        copies, [state](const CheckedSuperblock& copy) { return copy.state == state; });
  };
  if (any(SuperblockState::damaged) || any(SuperblockState::bogus)) {
    return {ErrorKind::corrupt, fmt::format("{}: no superblock is whole", name),
            "`repair` mends what can be mended"};
  }
  if (any(SuperblockState::no_magic) || !blank) {
    return {ErrorKind::foreign, fmt::format("{}: holds data that is not a vNVRAM image", name),
            "check the name"};
  }
  return {ErrorKind::blank, fmt::format("{}: holds no image", name), "`create` makes one of it"};
}

Result<SuperblockCopies> read_copies(BlockDevice& device, std::uint64_t size_bytes) {
  SuperblockCopies copies;
  for (unsigned copy = 0; copy < format::superblock_count; ++copy) {
    std::array<std::byte, block_size_bytes> block{};
    const std::uint64_t offset = copy * block_size_bytes;
    if (size_bytes < offset + block_size_bytes) {
      continue;
    }
    if (const Status read = device.read(offset, block); !read) {
      return read.error();
    }
    copies[copy] = format::check_superblock(block, copy);
    if (copies[copy].state == SuperblockState::too_new) {
      return Error(ErrorKind::too_new, fmt::format("{}: written by a newer vNVRAM", device.name()),
                   "use the version that wrote it, or a later one");
    }
  }
  return copies;
}

} // namespace

Result<format::Superblock> read_current_superblock(BlockDevice& device) {
  const Result<std::uint64_t> size = device.size_bytes();
  const auto copies = size ? read_copies(device, *size) : size.error();
  if (!copies) {
    return copies.error();
  }
  const CheckedSuperblock* current = nullptr;
  for (const CheckedSuperblock& copy : *copies) {
    if (is_whole(copy) &&
        (current == nullptr || copy.superblock.sequence > current->superblock.sequence)) {
      current = &copy;
    }
  }
  if (current != nullptr) {
    return current->superblock;
  }
  const Result<bool> blank = is_blank(device, *size);
  return blank ? no_superblock(device.name(), *copies, *blank) : blank.error();
}

Result<KeyedImage> read_keyed_image(BlockDevice& device) {
  const Result<format::Superblock> superblock = read_current_superblock(device);
  if (!superblock) {
    return superblock.error();
  }
  if ((superblock->features_must_know & format::feature_encrypted) == 0) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("{}: the image is not encrypted", device.name()),
                 "it has no keys; `encrypt` makes an encrypted one of it");
  }
  return KeyedImage{.uuid = superblock->uuid, .key_id = superblock->key_id};
}

// Its older superblock is read with the older data key until another one has taken its place, so
// each slot that opens the image has to have both.
Status check_no_exchange(BlockDevice& device) {
  const Result<std::uint64_t> size = device.size_bytes();
  const auto copies = size ? read_copies(device, *size) : size.error();
  if (!copies) {
    return copies.error();
  }
  const CheckedSuperblock* known = nullptr;
  for (const CheckedSuperblock& copy : *copies) {
    if (!is_whole(copy)) {
      continue;
    }
    if (known != nullptr && known->superblock.key_id != copy.superblock.key_id) {
      return Error(
          ErrorKind::unsupported,
          fmt::format("{}: an exchange of its data key was cut, and no key slot is changed "
                      "before that is at its end",
                      device.name()),
          "open it for writing: start its machine, or `key rotate`");
    }
    known = &copy;
  }
  return {};
}

} // namespace vnvram
