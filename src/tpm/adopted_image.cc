#include "tpm/adopted_image.h"

#include <utility>

#include <fmt/core.h>

namespace vnvram {

AdoptedImage::AdoptedImage(SoftTpm& tpm, Custody& custody, BlobClient& client, std::string location,
                           const Log& log)
    : tpm_(tpm), custody_(custody), client_(client), log_(log), location_(std::move(location)) {}

std::string AdoptedImage::location() const {
  const std::lock_guard lock(mutex_);
  return location_;
}

ImageState AdoptedImage::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

Status AdoptedImage::check_room(const TpmStateSizes& sizes_bytes) const {
  const std::lock_guard lock(mutex_);
  return custody_.has_image() ? room_.check(sizes_bytes) : Status();
}

void AdoptedImage::committed(std::uint64_t generation) {
  const std::lock_guard lock(mutex_);
  state_.generation = generation;
}

void AdoptedImage::sealed(bool is_sealed) {
  const std::lock_guard lock(mutex_);
  state_.sealed = is_sealed;
}

void AdoptedImage::note(const ImageState& state, const BlobRoom& room) {
  {
    const std::lock_guard lock(mutex_);
    state_ = state;
    room_ = room;
  }
  custody_.image_adopted(state.content_may_change);
}

Status AdoptedImage::start_with(const TpmImage& image) {
  const Result<BlobRoom> room = BlobRoom::of(client_, image.specs);
  if (!room.ok()) {
    return room.error();
  }
  if (image.state.sealed) {
    custody_.image_is_sealed();
  }
  note(image.state, *room);
  return {};
}

bool AdoptedImage::belongs_to_tpm(const TpmImage& image, Whose whose) const {
  // Of one that was let go here nobody has changed anything since, and other devices did before.
  const bool is_as_left = whose == Whose::left_here || state_.generation == image.state.generation;
  // What control commands have changed since is in memory only, and can be committed to it.
  return is_as_left && state_.uuid == image.state.uuid && tpm_.matches(image.contents);
}

Status AdoptedImage::adopt(TpmImage image, const std::string& location, Whose whose) {
  const Result<BlobRoom> room = BlobRoom::of(client_, image.specs);
  if (!room.ok()) {
    return room.error();
  }
  if (tpm_.has_state_from_elsewhere()) {
    if (const Status fits = room->check(tpm_.state_sizes_bytes()); !fits.ok()) {
      return Error(
          fits.error().kind(),
          fmt::format("{}: the state that was set has no room: {}", location, fits.error().cause()),
          fits.error().remedy());
    }
  }
  if (tpm_.is_restored()) {
    tpm_.replace_image();
  } else if (!tpm_.has_state() || !belongs_to_tpm(image, whose)) {
    if (!tpm_.is_untouched()) {
      return Error(ErrorKind::stale,
                   fmt::format("{}: it holds generation {}, and the running TPM goes on from "
                               "generation {}",
                               location, image.state.generation, state_.generation),
                   "attach the drive that belongs to the machine's state, or reset the machine");
    }
    if (Status adopted = tpm_.adopt(image.specs, std::move(image.contents), image.manufacture);
        !adopted.ok()) {
      return adopted;
    }
  }
  if (image.state.sealed && whose == Whose::as_it_says && !tpm_.is_restored() &&
      custody_.image_is_sealed()) {
    log_.warning(location + " is sealed: its state was handed over");
  }
  {
    const std::lock_guard lock(mutex_);
    location_ = location;
  }
  note(image.state, *room);
  return {};
}

} // namespace vnvram
