#include "tpm/state_keeper.h"

#include <utility>

#include <fmt/core.h>

namespace vnvram {

StateKeeper::StateKeeper(SoftTpm& tpm, Setup setup, const Log& log)
    : tpm_(tpm), log_(log), device_options_(std::move(setup.device)), seals_(setup.seals),
      shuts_down_(setup.shuts_down), confined_(setup.confined),
      location_(std::move(setup.location)) {}

StateKeeper::StateKeeper(SoftTpm& tpm, Setup setup, TpmImage image, const Log& log)
    : tpm_(tpm), log_(log), device_options_(std::move(setup.device)), seals_(setup.seals),
      shuts_down_(setup.shuts_down), confined_(setup.confined), store_(std::move(image.store)),
      location_(std::move(setup.location)), trouble_(std::move(image.trouble)) {
  if (store_->info().sealed) {
    custody_ = Custody::gone;
  }
  note_store();
  note_room();
}

// ---- Any thread
// ----------------------------------------------------------------------------------

bool StateKeeper::hand_over() {
  Custody expected = Custody::ours;
  if (!seals_ || !custody_.compare_exchange_strong(expected, Custody::handed_over)) {
    return false;
  }
  log_.info("the state was handed over: nothing is committed until it is ours again");
  return true;
}

void StateKeeper::take_back() {
  copied_ = false;
  Custody expected = Custody::handed_over;
  if (custody_.compare_exchange_strong(expected, Custody::ours)) {
    log_.info("the state is ours again");
  }
}

// By the word of someone who may say so, also about one that is gone.
void StateKeeper::claim() {
  copied_ = false;
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
  copied_ = false;
  look_again_ = true;
  if (restored) {
    claim();
  }
  powering_on_ = false;
}

Status StateKeeper::check_room(const TpmStateSizes& sizes_bytes) const {
  const std::lock_guard lock(mutex_);
  return attached_ ? room_.check(sizes_bytes) : Status();
}

KeeperStatus StateKeeper::status() const {
  KeeperStatus status;
  {
    const std::lock_guard lock(mutex_);
    status.location = location_;
    status.generation = generation_;
    status.image_uuid = image_uuid_;
    status.content_may_change = content_may_change_;
    status.image_error = failure_.empty() && trouble_ != nullptr ? trouble_->text() : failure_;
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

// What there is when an image is taken up: by as much as a blob grows afterwards there is less
// left.
void StateKeeper::note_room() {
  const BlobRoom room(*store_, tpm_.version());
  const std::lock_guard lock(mutex_);
  room_ = room;
}

bool StateKeeper::fail(const Error& error, std::string_view during) {
  tpm_.fail();
  {
    const std::lock_guard lock(mutex_);
    failure_ = error.text();
  }
  log_.error(
      fmt::format("the TPM goes into failure mode, because {} failed: {}", during, error.text()));
  return false;
}

Status StateKeeper::commit_first() {
  const Status committed =
      commit_with_room(*store_, tpm_.take_changes().transaction, tpm_.version());
  note_store();
  return committed;
}

bool StateKeeper::prepare() {
  if (tpm_.failed() || tpm_.is_off() || store_ == nullptr) {
    return false;
  }
  if (custody_ != Custody::gone) {
    complained_ = false;
    if (look_again_.exchange(false) && content_may_change_ && !look_again()) {
      return false;
    }
  }
  if (custody_ == Custody::gone) { // Looking again may have shown it.
    if (!std::exchange(complained_, true)) {
      log_.warning("TPM commands fail: the state was handed over, and this image is sealed; if it "
                   "is to go on here: vnvram tpm unseal");
    }
    return false;
  }
  if (const Status marked = mark_image_ours(); !marked.ok()) {
    return fail(marked.error(), "unsealing");
  }
  copied_ = false;
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
  const Status committed = commit_with_room(*store_, changes.transaction, tpm_.version());
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
  mark_image_sealed();
  if (content_may_change_ || custody_ != Custody::ours) {
    return;
  }
  if (const Status marked = mark_image_ours(); !marked.ok()) {
    [[maybe_unused]] const bool failed = fail(marked.error(), "unsealing");
    return;
  }
  [[maybe_unused]] const bool committed = commit();
}

void StateKeeper::come_to_rest() {
  if (store_ != nullptr && !content_may_change_ && custody_ == Custody::ours && !tpm_.failed()) {
    [[maybe_unused]] const Status done = store_->checkpoint(); // A failure has poisoned the store.
  }
}

void StateKeeper::commit_settled() {
  if (store_ == nullptr || tpm_.failed() || custody_ != Custody::ours) {
    return;
  }
  if (look_again_.exchange(false) && content_may_change_ && !look_again()) {
    return;
  }
  if (custody_ != Custody::ours) {
    return;
  }
  if (const Status marked = mark_image_ours(); !marked.ok()) {
    [[maybe_unused]] const bool failed = fail(marked.error(), "unsealing");
    return;
  }
  [[maybe_unused]] const bool committed = commit();
}

// The image says what custody says.
void StateKeeper::mark_image_sealed() {
  const Custody custody = custody_;
  if (custody == Custody::ours || store_->info().sealed ||
      (content_may_change_ && custody != Custody::gone)) {
    return;
  }
  // What was handed over and is in memory only belongs on the image first: it may be all that is
  // left of it one day.
  if (tpm_.has_changes() && !tpm_.failed()) {
    const bool looks = content_may_change_ && look_again_.exchange(false);
    if ((looks && !look_again()) || !commit()) {
      return;
    }
  }
  const Status sealed = store_->seal();
  if (sealed.ok()) {
    log_.info(fmt::format("the image is sealed at generation {}", store_->info().generation));
  } else {
    log_.warning("the image could not be sealed: " + sealed.error().text());
  }
}

Status StateKeeper::mark_image_ours() {
  if (custody_ != Custody::ours || !store_->info().sealed) {
    return {};
  }
  Status unsealed = store_->unseal();
  if (unsealed.ok()) {
    log_.info(fmt::format("the image is unsealed at generation {}", store_->info().generation));
  }
  return unsealed;
}

} // namespace vnvram
