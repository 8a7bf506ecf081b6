#include "tpm/state_keeper.h"

#include <utility>

#include <fmt/format.h>

namespace vnvram {

StateKeeper::StateKeeper(SoftTpm& tpm, Setup setup, const Log& log)
    : tpm_(tpm), log_(log), device_options_(std::move(setup.device)), seals_(setup.seals),
      location_(std::move(setup.location)) {}

StateKeeper::StateKeeper(SoftTpm& tpm, Setup setup, TpmImage image, const Log& log)
    : tpm_(tpm), log_(log), device_options_(std::move(setup.device)), seals_(setup.seals),
      store_(std::move(image.store)), location_(std::move(setup.location)) {
  if (store_->info().sealed) {
    custody_ = Custody::gone;
  }
  note_store();
}

// ---- Any thread
// ----------------------------------------------------------------------------------

void StateKeeper::hand_over() {
  if (seals_ && custody_.exchange(Custody::handed_over) == Custody::ours) {
    log_.info("the state was handed over: nothing is committed until it is ours again");
  }
}

void StateKeeper::take_back() {
  if (custody_.exchange(Custody::ours) != Custody::ours) {
    log_.info("the state is ours again");
  }
}

void StateKeeper::controller_gone() {
  Custody expected = Custody::handed_over;
  if (custody_.compare_exchange_strong(expected, Custody::gone)) {
    log_.info("the state went on to another place, or into a file: this TPM is sealed");
  }
}

void StateKeeper::powered_on(bool restored) {
  look_again_ = true;
  if (restored) {
    take_back();
  }
}

KeeperStatus StateKeeper::status() const {
  KeeperStatus status;
  {
    const std::lock_guard lock(mutex_);
    status.location = location_;
    status.generation = generation_;
    status.image_uuid = image_uuid_;
    status.content_may_change = content_may_change_;
  }
  status.attached = attached_;
  status.custody = custody_;
  status.uncommitted = tpm_.has_changes();
  status.failed = tpm_.failed();
  return status;
}

// ---- The thread that waits for the device
// -----------------------------------------------------------------

void StateKeeper::note_store() {
  attached_ = store_ != nullptr;
  if (store_ != nullptr) {
    const StoreInfo info = store_->info();
    const std::lock_guard lock(mutex_);
    content_may_change_ = info.content_may_change;
    generation_ = info.generation;
    image_uuid_ = info.uuid;
  }
}

bool StateKeeper::fail(const Error& error, std::string_view during) {
  tpm_.fail();
  log_.error(
      fmt::format("the TPM goes into failure mode, because {} failed: {}", during, error.text()));
  return false;
}

Status StateKeeper::commit_first() {
  const Status committed = store_->commit(tpm_.take_changes().transaction);
  note_store();
  return committed;
}

bool StateKeeper::prepare() {
  if (tpm_.failed() || store_ == nullptr) {
    return false;
  }
  if (custody_ == Custody::gone) {
    if (!std::exchange(complained_, true)) {
      log_.warning("TPM commands fail: the state was handed over, and this image is sealed; if it "
                   "is to go on here: vnvram tpm unseal");
    }
    return false;
  }
  complained_ = false;
  if (look_again_.exchange(false) && content_may_change_ && !look_again()) {
    return false;
  }
  if (store_->info().sealed) {
    if (const Status unsealed = unseal(); !unsealed.ok()) {
      return fail(unsealed.error(), "unsealing");
    }
  }
  return true;
}

bool StateKeeper::commit() {
  if (tpm_.failed() || store_ == nullptr) {
    return false;
  }
  const SoftTpm::Changes changes = tpm_.take_changes();
  if (changes.transaction.empty()) {
    return true;
  }
  const std::uint64_t generation_before = changes.restored ? store_->info().generation : 0;
  const Status committed = store_->commit(changes.transaction);
  if (!committed.ok()) {
    return fail(committed.error(), "a commit");
  }
  note_store();
  if (changes.restored) {
    log_.info(
        fmt::format("a restored TPM state has replaced that of generation {}; it is generation {}",
                    generation_before, store_->info().generation));
  }
  return true;
}

void StateKeeper::commit_without_command() {
  if (store_ == nullptr || tpm_.failed()) {
    return;
  }
  mark_image();
  if (!content_may_change_ && custody_ == Custody::ours) {
    // Only what is to be committed is a reason to take the seal off.
    [[maybe_unused]] const bool committed = !tpm_.has_changes() || (prepare() && commit());
  }
}

// The image says what custody says. That the state is ours again it hears before the next commit.
void StateKeeper::mark_image() {
  const Custody custody = custody_;
  if (custody == Custody::ours || store_->info().sealed ||
      (content_may_change_ && custody != Custody::gone)) {
    return;
  }
  const Status sealed = store_->seal();
  if (sealed.ok()) {
    log_.info(fmt::format("the image is sealed at generation {}", store_->info().generation));
  } else {
    log_.warning("the image could not be sealed: " + sealed.error().text());
  }
}

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
  store_->abandon();
  store_.reset();
  std::string location;
  {
    const std::lock_guard lock(mutex_);
    location = location_;
  }
  Result<TpmImage> image = open_tpm_image(location, tpm_.version(), true, device_options_);
  if (!image.ok()) {
    note_store();
    return fail(image.error(), "opening a drive whose content was put back");
  }
  const std::uint64_t generation = image->store->info().generation;
  const Status taken = take_up(std::move(*image));
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
         (tpm_.has_changes() || tpm_.matches(image.contents));
}

Status StateKeeper::take_up(TpmImage image) {
  const StoreInfo info = image.store->info();
  if (tpm_.is_restored()) {
    tpm_.replace_image(); // What QEMU has set wins.
  } else if (!tpm_.has_state() || !belongs_to_tpm(image, info.generation)) {
    if (!tpm_.is_untouched()) {
      return Error(ErrorKind::stale,
                   fmt::format("{}: it holds generation {}, and the running TPM goes on from "
                               "generation {}",
                               location_, info.generation, generation_),
                   "attach the drive that belongs to the machine's state, or reset the machine");
    }
    if (Status adopted = tpm_.adopt(image.specs, std::move(image.contents), image.manufacture);
        !adopted.ok()) {
      return adopted;
    }
  }
  store_ = std::move(image.store);
  if (info.sealed && !tpm_.is_restored()) {
    custody_ = Custody::gone;
  }
  note_store();
  return {};
}

Status StateKeeper::detach() {
  if (store_ == nullptr) {
    return {};
  }
  Status closed;
  if (content_may_change_ || custody_ != Custody::ours) {
    store_->abandon();
  } else {
    closed = store_->close();
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
  Result<TpmImage> image = open_tpm_image(where, tpm_.version(), true, device_options_);
  if (!image.ok()) {
    return image.error();
  }
  {
    const std::lock_guard lock(mutex_);
    location_ = where;
  }
  look_again_ = false;
  if (Status taken = take_up(std::move(*image)); !taken.ok()) {
    return taken;
  }
  log_.info(fmt::format("{} is attached, generation {}", where, store_->info().generation));
  return {};
}

Status StateKeeper::unseal() {
  take_back();
  if (store_ == nullptr || !store_->info().sealed) {
    return {};
  }
  Status unsealed = store_->unseal();
  if (unsealed.ok()) {
    log_.info(fmt::format("the image is unsealed at generation {}", store_->info().generation));
  }
  return unsealed;
}

Status StateKeeper::close() {
  if (store_ == nullptr) {
    return {};
  }
  if (content_may_change_) {
    const Result<bool> current = store_->is_current();
    if (!current.ok() || !*current) {
      log_.warning("the drive is left as it is: its content was changed underneath");
      store_->abandon();
      return current.ok() ? Status() : Status(current.error());
    }
  }
  if (custody_ == Custody::ours && tpm_.has_changes() && !tpm_.failed() && prepare()) {
    [[maybe_unused]] const bool committed = commit();
  }
  mark_image();
  Status closed = store_->close();
  store_.reset();
  note_store();
  return closed;
}

} // namespace vnvram
