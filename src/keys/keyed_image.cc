#include "keys/keyed_image.h"

#include <algorithm>

#include <fmt/core.h>

#include "format/superblock_pair.h"

namespace vnvram {
namespace {

using format::CheckedSuperblock;
using format::SuperblockPair;
using format::SuperblockState;

bool any_is(const SuperblockPair& pair, SuperblockState state) {
  return std::ranges::find(pair.copies, state, &CheckedSuperblock::state) != pair.copies.end();
}

Error no_superblock(const std::string& name, const SuperblockPair& pair, bool blank) {
  if (any_is(pair, SuperblockState::damaged) || any_is(pair, SuperblockState::bogus)) {
    return {ErrorKind::corrupt, fmt::format("{}: no superblock is whole", name),
            "`repair` mends what can be mended"};
  }
  if (any_is(pair, SuperblockState::no_magic) || !blank) {
    return {ErrorKind::foreign, fmt::format("{}: holds data that is not a vNVRAM image", name),
            "check the name"};
  }
  return {ErrorKind::blank, fmt::format("{}: holds no image", name), "`create` makes one of it"};
}

/// Both, of a version that we know.
Result<SuperblockPair> read_known_superblocks(BlockDevice& device) {
  Result<SuperblockPair> pair = format::read_superblocks(device);
  if (pair && any_is(*pair, SuperblockState::too_new)) {
    return Error(ErrorKind::too_new, fmt::format("{}: written by a newer vNVRAM", device.name()),
                 "use the version that wrote it, or a later one");
  }
  return pair;
}

} // namespace

Result<format::Superblock> read_current_superblock(BlockDevice& device) {
  const auto pair = read_known_superblocks(device);
  if (!pair) {
    return pair.error();
  }
  if (const format::Superblock* current = pair->current(); current != nullptr) {
    return *current;
  }
  const Result<bool> blank = format::is_blank(device);
  return blank ? no_superblock(device.name(), *pair, *blank) : blank.error();
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
  const auto pair = read_known_superblocks(device);
  if (!pair) {
    return pair.error();
  }
  const format::Superblock* known = nullptr;
  for (const CheckedSuperblock& copy : pair->copies) {
    if (copy.state != SuperblockState::valid) {
      continue;
    }
    if (known != nullptr && known->key_id != copy.superblock.key_id) {
      return Error(
          ErrorKind::unsupported,
          fmt::format("{}: an exchange of its data key was cut, and no key slot is changed "
                      "before that is at its end",
                      device.name()),
          "open it for writing: start its machine, or `key rotate`");
    }
    known = &copy.superblock;
  }
  return {};
}

} // namespace vnvram
