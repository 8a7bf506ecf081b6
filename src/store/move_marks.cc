#include "store/move_marks.h"

#include <memory>
#include <utility>

#include <fmt/core.h>

#include "base/barrier.h"
#include "base/hex.h"
#include "base/plain_text.h"
#include "device/location.h"
#include "format/public_metadata.h"
#include "keys/header_area.h"
#include "store/superblock_reader.h"
#include "vnvram/open_device.h"
#include "vnvram/public_metadata.h"

namespace vnvram {
namespace {

bool is_sealed(const format::Superblock& superblock) {
  return (superblock.features_must_know & format::feature_sealed) != 0;
}

/// Where the other one is, if both are of the hand-over that this one is sealed for.
std::optional<std::string> marked_place(BlockDevice& device, const format::Superblock& superblock,
                                        std::string_view name) {
  const HandOverNumber number{superblock.hand_over};
  if (!is_sealed(superblock) || number.is_none()) {
    return std::nullopt;
  }
  const Result<PublicMetadata> metadata = read_public_metadata(device);
  if (!metadata) {
    return std::nullopt;
  }
  const auto mark = metadata->find(std::string(name));
  if (mark == metadata->end()) {
    return std::nullopt;
  }
  const std::string beginning = move_mark(number, "");
  return mark->second.starts_with(beginning) ? std::optional(mark->second.substr(beginning.size()))
                                             : std::nullopt;
}

Error cannot_look(const std::string& name, const std::string& from, const Error& why) {
  return {ErrorKind::sealed,
          fmt::format("{}: it was moved here from {}, and whether that was finished cannot be "
                      "looked up there: {}",
                      name, plain_text(location_name(from)), why.cause()),
          "make that readable; or if it is certain that nobody goes on with that one: `unseal`"};
}

Error unfinished(const std::string& name, const std::string& from) {
  return {ErrorKind::sealed,
          fmt::format("{}: an unfinished move: the image is still {}", name,
                      plain_text(location_name(from))),
          "go on with that one, and delete this one"};
}

/// As it is durably, and with nobody having it open: its owner may have died with the seal in a
/// cache only, and a cut would take it off again.
Result<format::Superblock> superblock_at(const std::string& place) {
  auto device = open_device(place, Access::read_write);
  Status ready = device ? (*device)->lock_for_writing() : Status(device.error());
  ready = ready ? (*device)->flush() : ready;
  if (!device &&
      device.error().kind() == ErrorKind::read_only) { // Nobody else writes there either.
    device = open_device(place, Access::read_only);
    ready = device ? Status() : Status(device.error());
  }
  return ready ? find_superblock(**device) : Result<format::Superblock>(ready.error());
}

// Invariant 7, of an image that is moved: one of its two places is opened, and never both.
Status look_where_it_was(const std::string& name, const format::Superblock& here,
                         const std::string& from) {
  const Result<format::Superblock> there = superblock_at(from);
  if (!there) {
    return cannot_look(name, from, there.error());
  }
  if (there->uuid != here.uuid) {
    return cannot_look(name, from, Error(ErrorKind::foreign, "another image is there"));
  }
  if (kept(Barrier::move_look) && (!is_sealed(*there) || there->hand_over != here.hand_over)) {
    return unfinished(name, from);
  }
  return {};
}

} // namespace

std::string move_mark(const HandOverNumber& number, std::string_view location) {
  return fmt::format("{} {}", hex(number.bytes), location_name(std::string(location)));
}

Status mark_moved_from(BlockDevice& device, const format::Superblock& superblock,
                       const HandOverNumber& number, std::string_view location) {
  HeaderArea area(device, format::HeaderPart::metadata, superblock.uuid);
  const auto content = area.read();
  const char* reason = nullptr;
  auto metadata =
      content ? format::parse_public_metadata(*content, reason) : std::optional<PublicMetadata>();
  if (!metadata) {
    return content ? Status(Error(ErrorKind::corrupt,
                                  fmt::format("{}: the public metadata cannot be: {}",
                                              device.name(), reason)))
                   : Status(content.error());
  }
  metadata->erase(std::string(moved_to_name));
  metadata->insert_or_assign(std::string(moved_from_name), move_mark(number, location));
  const auto composed = format::compose_public_metadata(*metadata);
  return composed ? area.write(*composed) : composed.error();
}

Result<bool> came_by_move(BlockDevice& device, const format::Superblock& superblock) {
  const auto from = marked_place(device, superblock, moved_from_name);
  if (!from) {
    return false;
  }
  const Status looked = look_where_it_was(device.name(), superblock, *from);
  return looked ? Result<bool>(true) : looked.error();
}

Status check_nobody_is_where_it_was(BlockDevice& device, const format::Superblock& superblock) {
  const auto from = marked_place(device, superblock, moved_from_name);
  if (!from) {
    return {};
  }
  const Result<format::Superblock> there = superblock_at(*from);
  const bool is_there = there ? there->uuid == superblock.uuid && !is_sealed(*there)
                              : there.error().kind() == ErrorKind::in_use;
  return is_there ? Status(unfinished(device.name(), *from)) : Status();
}

std::optional<std::string> place_moved_to(BlockDevice& device) {
  const Result<format::Superblock> superblock = find_superblock(device);
  return superblock ? marked_place(device, *superblock, moved_to_name) : std::nullopt;
}

Error with_place_moved_to(BlockDevice& device, const format::Superblock& superblock,
                          const Error& refusal) {
  const auto to = refusal.kind() == ErrorKind::sealed
                      ? marked_place(device, superblock, moved_to_name)
                      : std::nullopt;
  if (!to) {
    return refusal;
  }
  const std::string place = plain_text(location_name(*to));
  return {ErrorKind::sealed,
          fmt::format("{}: it was moved to {} at generation {}", device.name(), place,
                      superblock.generation),
          fmt::format("open {} and name it wherever this one is named; if that one is lost, or is "
                      "not to go on: `unseal`",
                      place)};
}

} // namespace vnvram
