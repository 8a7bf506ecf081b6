// StateKeeper: how an image is taken up, looked at again, and given up.
#include <utility>

#include <fmt/core.h>

#include "device/nbd_device.h"
#include "tpm/state_keeper.h"

namespace vnvram {

// The drive's content may have been put back while the machine was: is it what we left?
bool StateKeeper::look_again() {
  const Result<bool> current = store_->is_current();
  if (!current.ok()) {
    return fail(current.error(), "a look at the drive");
  }
  if (*current) {
    return true;
  }
  const std::uint64_t generation_before = store_->info().generation;
  std::string location;
  {
    const std::lock_guard lock(mutex_);
    location = location_;
  }
  // By the same connection: it is the drive that changed, and a confined process may not get
  // another one.
  auto device = store_->abandon();
  store_.reset();
  Result<TpmImage> image = open_tpm_image(std::move(device), location, tpm_.version(), true, log_);
  if (!image.ok()) {
    note_store();
    return fail(image.error(), "opening a drive whose content was put back");
  }
  const std::uint64_t generation = image->store->info().generation;
  const Status taken = take_up(std::move(*image), location);
  if (!taken.ok()) {
    return fail(taken.error(), "taking up the state of a drive whose content was put back");
  }
  log_.info(fmt::format("the drive's content was changed underneath: it was generation {} and is "
                        "generation {}",
                        generation_before, generation));
  return true;
}

bool StateKeeper::belongs_to_tpm(const TpmImage& image, std::uint64_t generation) const {
  // What control commands have changed since is in memory only, and can be committed to it.
  return generation_ == generation && image.store->info().uuid == image_uuid_ &&
         tpm_.matches(image.contents);
}

Status StateKeeper::take_up(TpmImage image, const std::string& location) {
  const StoreInfo info = image.store->info();
  if (tpm_.has_state_from_elsewhere()) {
    const Status fits = BlobRoom(*image.store, image.version).check(tpm_.state_sizes_bytes());
    if (!fits.ok()) {
      return Error(
          fits.error().kind(),
          fmt::format("{}: the state that was set has no room: {}", location, fits.error().cause()),
          fits.error().remedy());
    }
  }
  if (tpm_.is_restored()) {
    tpm_.replace_image(); // What QEMU has set wins.
  } else if (!tpm_.has_state() || !belongs_to_tpm(image, info.generation)) {
    if (!tpm_.is_untouched()) {
      return Error(ErrorKind::stale,
                   fmt::format("{}: it holds generation {}, and the running TPM goes on from "
                               "generation {}",
                               location, info.generation, generation_),
                   "attach the drive that belongs to the machine's state, or reset the machine");
    }
    if (Status adopted = tpm_.adopt(image.specs, std::move(image.contents), image.manufacture);
        !adopted.ok()) {
      return adopted;
    }
  }
  store_ = std::move(image.store);
  {
    const std::lock_guard lock(mutex_);
    trouble_ = std::move(image.trouble);
  }
  Custody expected = Custody::ours;
  if (info.sealed && !tpm_.is_restored() &&
      custody_.compare_exchange_strong(expected, Custody::gone)) {
    log_.warning(location + " is sealed: its state was handed over");
  }
  note_store();
  note_room();
  return {};
}

Status StateKeeper::check_can_open(const std::string& location) const {
  if (!confined_ || is_nbd_uri(location)) {
    return {};
  }
  return Error(ErrorKind::unsupported,
               location + ": vnvram-tpm has given up the right to open files",
               "hold and resume are enough for a file; --seccomp off keeps the right");
}

Status StateKeeper::detach(bool held) {
  if (store_ == nullptr) {
    return {};
  }
  std::string location;
  {
    const std::lock_guard lock(mutex_);
    location = location_;
  }
  if (Status reopens = check_can_open(location); !reopens.ok()) {
    return reopens;
  }
  Status closed;
  if (content_may_change_ || held || custody_ != Custody::ours) {
    store_->abandon();
  } else {
    closed = mark_image_ours();
    const Status done = store_->close();
    closed = closed.ok() ? done : closed;
  }
  store_.reset();
  note_store();
  log_.info("the image is detached");
  return closed;
}

Status StateKeeper::attach(const std::string& location) {
  std::string where = location;
  {
    const std::lock_guard lock(mutex_);
    if (where.empty()) {
      where = location_;
    }
  }
  if (store_ != nullptr) {
    return Error(ErrorKind::exists, where + ": an image is attached", "detach it first");
  }
  if (Status opens = check_can_open(where); !opens.ok()) {
    return opens;
  }
  Result<TpmImage> image = open_tpm_image(where, tpm_.version(), true, device_options_, log_);
  if (!image.ok()) {
    return image.error();
  }
  look_again_ = false;
  if (Status taken = take_up(std::move(*image), where); !taken.ok()) {
    return taken;
  }
  {
    const std::lock_guard lock(mutex_);
    location_ = where;
  }
  log_.info(fmt::format("{} is attached, generation {}", where, store_->info().generation));
  return {};
}

Status StateKeeper::unseal() {
  claim();
  if (store_ == nullptr) {
    return {};
  }
  if (look_again_.exchange(false) && content_may_change_ && !look_again()) {
    return Error(ErrorKind::poisoned, "the TPM is in failure mode", "see the log of vnvram-tpm");
  }
  claim(); // What was found may have been sealed.
  return mark_image_ours();
}

// The drive may have gone before us, with the QEMU that owned it: that is an ordinary end, if
// nothing was left to be written.
bool StateKeeper::is_left_alone(Status& result) {
  const Result<bool> current = store_->is_current();
  if (current.ok() && *current) {
    return false;
  }
  if (current.ok()) {
    log_.warning("the drive is left as it is: its content was changed underneath");
  } else {
    log_.warning("the drive is left as it is: " + current.error().text());
  }
  if (!current.ok() && (tpm_.has_changes_to_keep() || custody_ != Custody::ours)) {
    result = current.error();
  } else if (current.ok() && tpm_.has_changes_to_keep()) {
    result = Error(ErrorKind::stale, "changes of the TPM that were not committed are lost: the "
                                     "drive's content was changed underneath");
  }
  store_->abandon();
  return true;
}

Status StateKeeper::close() {
  controller_gone(); // Who has the state now will not find us again to give it back.
  if (store_ == nullptr) {
    return {};
  }
  Status closed;
  if (!content_may_change_ || !is_left_alone(closed)) {
    mark_image_sealed();
    if (custody_ == Custody::ours && !tpm_.failed()) {
      closed = mark_image_ours();
      [[maybe_unused]] const bool committed = closed.ok() && commit();
    }
    const Status done = store_->close();
    closed = closed.ok() ? done : closed;
  }
  store_.reset();
  note_store();
  return closed;
}

} // namespace vnvram
