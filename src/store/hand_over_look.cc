#include "store/hand_over_look.h"

#include <fmt/core.h>

#include "base/barrier.h"
#include "store/owner_name.h"
#include "store/sealed_error.h"
#include "store/superblock_reader.h"

namespace vnvram {
namespace {

Error gone_on_elsewhere(const std::string& name, const format::Superblock& superblock) {
  return {ErrorKind::stale,
          fmt::format("{}: the machine has gone on elsewhere: {} has opened the image since it was "
                      "let go (epoch {}, generation {})",
                      name, owner_name(superblock), superblock.epoch_number, superblock.generation),
          "it is not to go on here"};
}

Error not_handed_over(const std::string& name, const format::Superblock& superblock) {
  if (superblock.owner_pid != 0) {
    return {ErrorKind::in_use,
            fmt::format("{}: {} has it, and has not handed it over with this state", name,
                        owner_name(superblock)),
            "the machine goes on there, or has gone on from this state already"};
  }
  return {ErrorKind::stale,
          fmt::format("{}: it is not handed over: somebody has gone on with it, or it is not the "
                      "image that belongs to this state",
                      name),
          "the machine is not to go on from this state"};
}

Error for_another(const std::string& name, const format::Superblock& superblock) {
  return {ErrorKind::sealed,
          fmt::format("{}: it is sealed at generation {}, and not for the hand-over of this state",
                      name, superblock.generation),
          "the machine goes on from the state that it was sealed with; if that is lost: `unseal`"};
}

// INV7e: nobody takes an image from who serves it. INV7f: of who has one state only the first that
// comes goes on from it, since he takes its number off.
Status check_going_on(const std::string& name, const format::Superblock& superblock,
                      const GoOn& go_on) {
  const bool sealed = (superblock.features_must_know & format::feature_sealed) != 0;
  const HandOverNumber number{superblock.hand_over};
  if (sealed && go_on.hand_over && !go_on.hand_over->is_none() &&
      (number == *go_on.hand_over || !kept(Barrier::hand_over_look))) {
    return {};
  }
  const OwnerEpoch epoch{superblock.epoch_number, superblock.epoch_random};
  if (go_on.own_epoch) {
    return !sealed && (epoch == *go_on.own_epoch || !kept(Barrier::take_back_look))
               ? Status{}
               : Status(gone_on_elsewhere(name, superblock));
  }
  return sealed ? for_another(name, superblock) : not_handed_over(name, superblock);
}

} // namespace

// INV7g: what was let go is nobody's who has no number, and no word.
Status check_whose_it_is(const std::string& name, const format::Superblock& superblock,
                         const OpenOptions& options) {
  if (options.go_on) {
    return check_going_on(name, superblock, *options.go_on);
  }
  if ((superblock.features_must_know & format::feature_sealed) == 0) {
    return {};
  }
  const HandOverNumber number{superblock.hand_over};
  if (!options.accept_sealed) {
    return sealed_error(name, superblock.generation, number);
  }
  if (!number.is_none() && !options.accept_hand_over && kept(Barrier::hand_over_word)) {
    return sealed_error(name, superblock.generation, number);
  }
  return {};
}

Status look_whose_it_is(BlockDevice& device, const OpenOptions& options) {
  const Result<format::Superblock> superblock = find_superblock(device);
  return superblock ? check_whose_it_is(device.name(), *superblock, options) : superblock.error();
}

} // namespace vnvram
