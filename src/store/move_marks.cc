#include "store/move_marks.h"

#include <filesystem>
#include <memory>
#include <system_error>
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

std::string place_text(const std::string& place) {
  return plain_text(location_name(place));
}

Error cannot_look(const std::string& name, const std::string& from, const Error& why) {
  return {ErrorKind::sealed,
          fmt::format("{}: it was moved here from {}, and whether that was finished cannot be "
                      "looked up there: {}",
                      name, place_text(from), why.cause()),
          "make that readable; or if it is certain that nobody goes on with that one: `unseal`"};
}

/// Whether the other place is this one by now: whoever has moved or renamed it has put it there.
bool is_at(const BlockDevice& device, const std::string& place) {
  std::error_code absent; // Then they are not the same.
  const std::string here = location_name_elsewhere(device.name());
  return here == location_name_elsewhere(place) ||
         (scheme_of(here) == LocationScheme::path && scheme_of(place) == LocationScheme::path &&
          std::filesystem::equivalent(here, place, absent));
}

Error took_its_place(const std::string& name) {
  return {ErrorKind::sealed,
          fmt::format("{}: it was moved here from a place that it has taken itself since: whether "
                      "that was finished cannot be looked up any more",
                      name),
          "if nobody goes on with what was there before: `unseal`"};
}

/// What is at the other place of a move.
struct OtherPlace {
  format::Superblock superblock;
  std::optional<std::string> moved_to; ///< By its own mark.
};

Result<OtherPlace> look_at(BlockDevice& device) {
  Result<format::Superblock> superblock = find_superblock(device);
  if (!superblock) {
    return superblock.error();
  }
  std::optional<std::string> moved_to = marked_place(device, *superblock, moved_to_name);
  return OtherPlace{.superblock = *std::move(superblock), .moved_to = std::move(moved_to)};
}

/// Beside whoever has it open.
Result<OtherPlace> read_beside(const std::string& place) {
  const auto device = open_device(place, Access::read_only);
  return device ? look_at(**device) : Result<OtherPlace>(device.error());
}

/// As it is durably, and with nobody having it open: its owner may have died with the seal in a
/// cache only, and a cut would take it off again.
Result<OtherPlace> look_alone(const std::string& place) {
  auto device = open_device(place, Access::read_write);
  if (!device &&
      device.error().kind() == ErrorKind::read_only) { // Nobody else writes there either.
    return read_beside(place);
  }
  Status ready = device ? (*device)->lock_for_writing() : Status(device.error());
  ready = ready ? (*device)->flush() : ready;
  return ready ? look_at(**device) : Result<OtherPlace>(ready.error());
}

bool is_of_the_same_move(const format::Superblock& one, const format::Superblock& other) {
  return is_sealed(one) && is_sealed(other) && one.hand_over == other.hand_over;
}

Error still_there(const std::string& name, const std::string& from) {
  return {ErrorKind::sealed,
          fmt::format("{}: an unfinished move: the image is still {}", name, place_text(from)),
          "go on with that one, and delete this one"};
}

/// There is what the move was to begin with, and not sealed by it: this one is left over.
Error unfinished(const std::string& name, const std::string& from, const OtherPlace& there) {
  if (there.moved_to) {
    const std::string to = place_text(*there.moved_to);
    return {ErrorKind::sealed,
            fmt::format("{}: an unfinished move: from {} the image went on elsewhere, at {}", name,
                        place_text(from), to),
            fmt::format("go on with {}, and delete this one", to)};
  }
  if (is_sealed(there.superblock)) {
    return {
        ErrorKind::sealed,
        fmt::format("{}: an unfinished move: the image went on at {}, and from there elsewhere, "
                    "as it is sealed for something else",
                    name, place_text(from)),
        "go on where its state went, and delete this one"};
  }
  return still_there(name, from);
}

// INV7i, INV7j: one of its two places is opened, never both, and not the one that has less.
Status judge_where_it_was(const std::string& name, const format::Superblock& here,
                          const std::string& from, const Result<OtherPlace>& there) {
  if (!there) {
    return cannot_look(name, from, there.error());
  }
  if (there->superblock.uuid != here.uuid) {
    return cannot_look(name, from, Error(ErrorKind::foreign, "another image is there"));
  }
  if (kept(Barrier::move_look) && !is_of_the_same_move(there->superblock, here)) {
    return unfinished(name, from, *there);
  }
  return {};
}

/// The same image, at the other place.
struct SameImage {
  std::optional<OtherPlace> seen; ///< Nothing: only who has it open can see it.
  bool is_in_use = false;
};

/// Nothing: another image is there, or what cannot be read, which is nobody.
std::optional<SameImage> find_same_image(const std::string& place, const format::Superblock& here) {
  Result<OtherPlace> there = look_alone(place);
  const bool is_in_use = !there && there.error().kind() == ErrorKind::in_use;
  if (is_in_use) {
    there = read_beside(place); // Another image may be there by now.
  }
  if (there ? there->superblock.uuid != here.uuid : !is_in_use) {
    return std::nullopt;
  }
  return SameImage{.seen = there ? std::optional(*std::move(there)) : std::nullopt,
                   .is_in_use = is_in_use};
}

Status check_nobody_is_where_it_was(const std::string& name, const format::Superblock& here,
                                    const std::string& from) {
  const std::optional<SameImage> there = find_same_image(from, here);
  if (!there) {
    return {};
  }
  if (there->seen && !is_of_the_same_move(there->seen->superblock, here)) {
    return unfinished(name, from, *there->seen);
  }
  return there->is_in_use ? Status(still_there(name, from)) : Status();
}

Error went_on(const std::string& name, const std::string& to, const char* how) {
  const std::string place = place_text(to);
  return {ErrorKind::sealed, fmt::format("{}: it was moved to {}, which {}", name, place, how),
          fmt::format("go on with {}; if that one is really not to go on: end its machine, delete "
                      "it, and `unseal`",
                      place)};
}

// Who takes its epoch there has not written yet, but is about to.
Status check_nobody_is_where_it_went(const std::string& name, const format::Superblock& here,
                                     const std::string& to) {
  const std::optional<SameImage> there = find_same_image(to, here);
  if (!there) {
    return {};
  }
  if (there->is_in_use) {
    return went_on(name, to, "somebody has open");
  }
  return is_of_the_same_move(there->seen->superblock, here) &&
                 there->seen->superblock.epoch_number <= here.epoch_number
             ? Status()
             : Status(went_on(name, to, "was opened since"));
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
  if (is_at(device, *from)) {
    return took_its_place(device.name());
  }
  const Status looked = judge_where_it_was(device.name(), superblock, *from, look_alone(*from));
  return looked ? Result<bool>(true) : looked.error();
}

Status check_nobody_is_elsewhere(BlockDevice& device, const format::Superblock& superblock) {
  const auto from = marked_place(device, superblock, moved_from_name);
  const Status left = from && !is_at(device, *from)
                          ? check_nobody_is_where_it_was(device.name(), superblock, *from)
                          : Status();
  const auto to = left ? marked_place(device, superblock, moved_to_name) : std::nullopt;
  return to && !is_at(device, *to) ? check_nobody_is_where_it_went(device.name(), superblock, *to)
                                   : left;
}

std::optional<std::string> place_moved_to(BlockDevice& device) {
  const Result<format::Superblock> superblock = find_superblock(device);
  return superblock ? marked_place(device, *superblock, moved_to_name) : std::nullopt;
}

SeenMove see_move(BlockDevice& device) {
  SeenMove seen;
  const Result<format::Superblock> superblock = find_superblock(device);
  if (!superblock) {
    return seen;
  }
  seen.to = marked_place(device, *superblock, moved_to_name);
  seen.from = marked_place(device, *superblock, moved_from_name);
  if (seen.from) {
    seen.came = is_at(device, *seen.from) ? Status(took_its_place(device.name()))
                                          : judge_where_it_was(device.name(), *superblock,
                                                               *seen.from, read_beside(*seen.from));
  }
  return seen;
}

Error with_place_moved_to(BlockDevice& device, const format::Superblock& superblock,
                          const Error& refusal) {
  const auto to = refusal.kind() == ErrorKind::sealed
                      ? marked_place(device, superblock, moved_to_name)
                      : std::nullopt;
  if (!to || is_at(device, *to)) {
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
