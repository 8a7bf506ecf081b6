// TpmStorage: an image comes, and goes, while the TPM serves.
#include <memory>
#include <utility>

#include <fmt/core.h>

#include "client/blob_client.h"
#include "owner/image_keeper.h"
#include "tpm/tpm_storage.h"

namespace vnvram {

Error TpmStorage::of_another_process() const {
  return {ErrorKind::unsupported, image_.location() + ": another process has the image open",
          "vnvram serve is to be ended and started again"};
}

Status TpmStorage::check_reopens(const std::string& location) const {
  if (!confined_ || !ImageKeeper::needs_files(location)) {
    return {};
  }
  return Error(ErrorKind::unsupported,
               location + ": vnvram-tpm has given up the right to open files",
               "hold and resume are enough for a file; --seccomp off keeps the right");
}

Status TpmStorage::detach(bool held) {
  if (!custody_.has_image()) {
    return {};
  }
  if (keeper_ == nullptr) {
    return of_another_process();
  }
  if (Status reopens = check_reopens(image_.location()); !reopens.ok()) {
    return reopens;
  }
  Status closed;
  if (custody_.content_may_change() || held || !custody_.is_ours()) {
    keeper_->abandon();
  } else {
    closed = mark_image_ours();
    const Status done = keeper_->detach();
    closed = closed.ok() ? done : closed;
  }
  leave_place();
  custody_.image_given_up();
  log_.info("the image is detached");
  return closed;
}

Status TpmStorage::attach(const std::string& location, std::unique_ptr<BlockDevice> device) {
  const std::string where = location.empty() ? image_.location() : location;
  if (keeper_ == nullptr) {
    return of_another_process();
  }
  if (keeper_->is_attached()) {
    return Error(ErrorKind::exists, where + ": an image is attached", "detach it first");
  }
  if (Status opens = check_reopens(where); !opens.ok()) {
    return opens;
  }
  trouble_.forget();
  const ImageKeeper::Opening opening = {.location = where, .accept_sealed = true};
  Status opened =
      device != nullptr ? keeper_->attach(std::move(device), opening) : keeper_->attach(opening);
  if (!opened.ok()) {
    return opened;
  }
  Result<TpmImage> image = read_tpm_image(client_, where, {tpm_.version(), blobs_prefix_});
  Status taken = image.ok() ? Status() : image.error();
  std::uint64_t generation = 0;
  if (image.ok()) {
    generation = image->state.generation;
    custody_.has_looked();
    taken = image_.adopt(std::move(*image), where);
  }
  if (!taken.ok()) {
    lose_image();
    return taken;
  }
  log_.info(fmt::format("{} is attached, generation {}", where, generation));
  return {};
}

Status TpmStorage::attach_at_place() {
  if (place_ == nullptr) {
    return {};
  }
  if (custody_.has_image()) {
    return place_->check();
  }
  const Result<std::string> location =
      place_->enter(was_at_place_ ? ImagePlace::Visit::again : ImagePlace::Visit::first);
  if (!location.ok()) {
    return location.error();
  }
  Result<std::unique_ptr<BlockDevice>> device = place_->open();
  Status attached = device.ok() ? attach(*location, *std::move(device)) : device.error();
  if (!attached.ok()) {
    place_->leave();
  }
  was_at_place_ = was_at_place_ || attached.ok();
  return attached;
}

Status TpmStorage::unseal() {
  custody_.take_over();
  if (!custody_.has_image()) {
    return {};
  }
  if (custody_.must_look() && !look_again()) {
    return Error(ErrorKind::poisoned, "the TPM is in failure mode", "see the log of vnvram-tpm");
  }
  custody_.take_over(); // What was found may have been sealed.
  return mark_image_ours();
}

} // namespace vnvram
