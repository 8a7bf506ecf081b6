#include "anchor/anchor_judge.h"

#include <fmt/core.h>

#include "base/barrier.h"
#include "base/uuid.h"

namespace vnvram {
namespace {

constexpr const char* accept_remedy =
    "once you know that this image is the one to go on with: `anchor accept`";

/// INV12f: in an epoch that the anchor knows.
AnchorVerdict judge_generation(const AnchorPoint& image, const AnchorPoint& anchored,
                               std::uint64_t chain) {
  if (image.generation < anchored.generation) {
    return AnchorVerdict::rolled_back;
  }
  const bool later = image.generation > anchored.generation;
  // A sealed image takes no commit, and to take off the seal is told before it is done.
  if ((!later && image.chain != chain) || (later && anchored.sealed)) {
    return AnchorVerdict::forked;
  }
  // What the image was before it was handed over has the same generation.
  if (anchored.sealed && !image.sealed) {
    return AnchorVerdict::rolled_back;
  }
  // One record may be durable that was not answered.
  if (anchored.each_commit && image.generation - anchored.generation > 1) {
    return AnchorVerdict::ahead;
  }
  return AnchorVerdict::at_anchor;
}

/// INV12c: in one that it does not know. History has no state of an earlier epoch and a later
/// generation.
AnchorVerdict judge_unknown_epoch(const AnchorPoint& image, const AnchorPoint& anchored) {
  return image.epoch_number < anchored.epoch_number && image.generation <= anchored.generation
             ? AnchorVerdict::rolled_back
             : AnchorVerdict::forked;
}

/// INV12e: not so: it was made before an exchange of the data key, or by somebody who has the old
/// one.
bool knows_key(const AnchorPoint& image, const AnchorPoint& anchored) {
  return !kept(Barrier::anchor_knows_key) || image.key_id == anchored.key_id ||
         (anchored.next_key_id != AnchorPoint{}.next_key_id &&
          image.key_id == anchored.next_key_id);
}

/// INV12d: whoever goes on without the anchor begins an epoch that it does not know.
AnchorVerdict judge_history(const AnchorPoint& image, const AnchorPoint& anchored) {
  if (image.epoch_random == anchored.epoch_random && image.epoch_number == anchored.epoch_number) {
    return judge_generation(image, anchored, anchored.chain);
  }
  // The opening came as far as its epoch. That begins with the generation it found, and a chain of
  // its own.
  if (anchored.next_epoch_random != 0 && image.epoch_random == anchored.next_epoch_random &&
      image.epoch_number == anchored.epoch_number + 1) {
    return judge_generation(image, anchored, anchored.next_epoch_random);
  }
  return judge_unknown_epoch(image, anchored);
}

/// Where the two generations alone do not tell.
const char* what_else_differs(const AnchorComparison& found) {
  if (found.image.generation < found.anchored->generation) {
    return "";
  }
  if (!knows_key(found.image, *found.anchored)) {
    return ", after an exchange of its data key";
  }
  return found.anchored->sealed && !found.image.sealed ? ", handed over and sealed" : "";
}

std::string words_for(const AnchorComparison& found, const std::string& image_name,
                      const std::string& anchor_name) {
  const std::string image =
      fmt::format("generation {} of epoch {}", found.image.generation, found.image.epoch_number);
  if (!found.anchored) {
    return fmt::format("{}: {} holds nothing yet; the image is at {}", image_name, anchor_name,
                       image);
  }
  const std::string anchored =
      fmt::format("{} says generation {} of epoch {}", anchor_name, found.anchored->generation,
                  found.anchored->epoch_number);
  switch (found.verdict) {
  case AnchorVerdict::another_image:
    return fmt::format("{}: is another image than its anchor's: it is {} at {}, and {} of {}",
                       image_name, uuid_text(found.image.uuid), image, anchored,
                       uuid_text(found.anchored->uuid));
  case AnchorVerdict::rolled_back:
    return fmt::format("{}: was put back to an older state: it is at {}, and {}{}", image_name,
                       image, anchored, what_else_differs(found));
  case AnchorVerdict::forked:
    return fmt::format("{}: was written to without its anchor, or is a copy that was: it is at "
                       "{}, and {}, of another branch",
                       image_name, image, anchored);
  default:
    return fmt::format("{}: went on without its anchor: it is at {}, and {}, which is "
                       "written for each commit",
                       image_name, image, anchored);
  }
}

} // namespace

std::string_view verdict_name(AnchorVerdict verdict) {
  switch (verdict) {
  case AnchorVerdict::at_anchor: return "at-anchor";
  case AnchorVerdict::missing: return "missing";
  case AnchorVerdict::another_image: return "another-image";
  case AnchorVerdict::rolled_back: return "rolled-back";
  case AnchorVerdict::forked: return "forked";
  case AnchorVerdict::ahead: return "ahead";
  }
  return "unknown";
}

AnchorVerdict judge(const AnchorPoint& image, const std::optional<AnchorPoint>& anchored) {
  if (!anchored) {
    return AnchorVerdict::missing;
  }
  if (image.uuid != anchored->uuid) {
    return AnchorVerdict::another_image;
  }
  const AnchorVerdict verdict = judge_history(image, *anchored);
  return verdict == AnchorVerdict::at_anchor && !knows_key(image, *anchored)
             ? AnchorVerdict::rolled_back
             : verdict;
}

AnchorComparison compare(const std::string& image_name, const AnchorPoint& image,
                         const std::string& anchor_name,
                         const std::optional<AnchorPoint>& anchored) {
  AnchorComparison found = {
      .verdict = judge(image, anchored), .image = image, .anchored = anchored, .reason = {}};
  if (found.verdict != AnchorVerdict::at_anchor) {
    found.reason = words_for(found, image_name, anchor_name);
  }
  return found;
}

Error not_at_anchor(const AnchorComparison& comparison) {
  return {ErrorKind::not_at_anchor, comparison.reason.value_or(""), accept_remedy};
}

} // namespace vnvram
