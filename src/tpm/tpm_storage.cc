#include "tpm/tpm_storage.h"

#include <utility>

#include <fmt/core.h>

#include "base/operator_text.h"
#include "client/blob_client.h"
#include "owner/image_keeper.h"
#include "tpm/operators_word.h"

namespace vnvram {
namespace {

Result<bool> was_changed(const Result<bool>& is_current) {
  return is_current.ok() ? Result<bool>(!*is_current) : is_current.error();
}

} // namespace

TpmStorage::TpmStorage(const Parts& parts, Setup setup)
    : tpm_(parts.tpm), custody_(parts.custody), image_(parts.image), keeper_(parts.keeper),
      client_(parts.client), trouble_(parts.trouble), log_(parts.log),
      blobs_prefix_(parts.blobs_prefix), setup_(setup) {}

TpmStorageStatus TpmStorage::status() const {
  TpmStorageStatus status;
  {
    const std::lock_guard lock(mutex_);
    status.image_error = failure_.empty() ? trouble_.text() : failure_;
  }
  status.location = image_.location();
  status.image = image_.state();
  status.attached = custody_.has_image();
  status.custody = custody_.state();
  status.uncommitted = tpm_.has_changes();
  status.failed = tpm_.failed();
  return status;
}

bool TpmStorage::fail(const Error& error, std::string_view during) {
  tpm_.fail();
  {
    const std::lock_guard lock(mutex_);
    failure_ = operator_text(error);
  }
  log_.error(fmt::format("the TPM goes into failure mode, because {} failed: {}", during,
                         operator_text(error)));
  return false;
}

// ---- Commits

Status TpmStorage::commit_first() {
  const Result<std::uint64_t> committed =
      commit_with_room(client_, tpm_.take_changes().transaction);
  if (!committed.ok()) {
    return committed.error();
  }
  image_.committed(*committed);
  return {};
}

bool TpmStorage::prepare() {
  if (tpm_.failed() || tpm_.is_off() || !is_at_hand()) {
    return false;
  }
  if (custody_.state() != Custody::State::gone || was_taken_back_elsewhere()) {
    complained_ = false;
    if (custody_.must_look() && !look_again()) {
      return false;
    }
  }
  if (custody_.state() == Custody::State::gone) { // Looking again may have shown it.
    if (!std::exchange(complained_, true)) {
      log_.warning(
          fmt::format("TPM commands fail: the state was handed over, and this image is sealed; {}",
                      operators_word));
    }
    return false;
  }
  if (const Status marked = mark_image_ours(); !marked.ok()) {
    return fail_to_unseal(marked.error());
  }
  custody_.command_runs();
  return true;
}

// An image that was left because its machine went elsewhere is taken again by the first command.
bool TpmStorage::is_at_hand() {
  if (custody_.has_image() || place_ == nullptr) {
    return custody_.has_image();
  }
  if (setup_.shared && !custody_.is_ours()) {
    if (!std::exchange(complained_, true)) {
      log_.warning(fmt::format(
          "TPM commands fail: the state was handed over to another host, with the image; {}",
          operators_word));
    }
    return false;
  }
  const Status attached = attach_at_place();
  if (!attached.ok() && !std::exchange(complained_, true)) {
    log_.error("TPM commands fail: " + operator_text(attached.error()));
  }
  return attached.ok();
}

bool TpmStorage::commit() {
  if (tpm_.failed() || !custody_.has_image()) {
    return false;
  }
  const SoftTpm::Changes changes = tpm_.take_changes();
  if (changes.transaction.empty()) {
    return true;
  }
  const std::uint64_t generation_before = image_.state().generation;
  const Result<std::uint64_t> committed = commit_with_room(client_, changes.transaction);
  if (!committed.ok()) {
    return fail(committed.error(), "a commit");
  }
  image_.committed(*committed);
  if (changes.restored) {
    log_.info(
        fmt::format("a restored TPM state has replaced that of generation {}; it is generation {}",
                    generation_before, *committed));
  }
  return true;
}

void TpmStorage::commit_without_command() {
  if (!custody_.has_image() || tpm_.failed()) {
    return;
  }
  mark_image_sealed();
  // What has come by a hand-over is gone on with now, or somebody else could.
  const bool goes_on = setup_.shared && custody_.is_ours() && image_.state().sealed;
  if (!goes_on && !custody_.may_commit_unasked()) {
    return;
  }
  commit_as_ours();
}

Status TpmStorage::settle() {
  const bool may_come = !setup_.shared || custody_.is_ours();
  if (may_come && tpm_.has_changes() && !custody_.has_image() && !tpm_.failed()) {
    if (Status attached = attach_at_place(); !attached.ok()) {
      return attached;
    }
  }
  commit_without_command();
  if (custody_.is_ours()) {
    if (Status done = bring_up_to_date(); !done.ok()) {
      return done;
    }
  }
  const TpmStorageStatus now = status();
  return now.failed ? Error(ErrorKind::poisoned, now.image_error) : Status();
}

void TpmStorage::commit_as_ours() {
  if (const Status marked = mark_image_ours(); !marked.ok()) {
    [[maybe_unused]] const bool failed = fail_to_unseal(marked.error());
    return;
  }
  [[maybe_unused]] const bool committed = commit();
}

void TpmStorage::hold() {
  // Another process's image is held by asking that one.
  if (keeper_ != nullptr && custody_.has_image() && custody_.is_ours() && !tpm_.failed()) {
    [[maybe_unused]] const Status done = keeper_->hold(); // A failure has poisoned the store.
  }
}

void TpmStorage::resume() {
  if (keeper_ != nullptr) {
    keeper_->release();
  }
  if (!custody_.has_image() || tpm_.failed() || !custody_.is_ours()) {
    return;
  }
  if ((custody_.must_look() && !look_again()) || !custody_.is_ours()) {
    return;
  }
  commit_as_ours();
}

// The image says what custody says.
void TpmStorage::mark_image_sealed() {
  if (setup_.shared || !custody_.is_to_be_sealed() || image_.state().sealed ||
      !bring_up_to_date().ok()) {
    return;
  }
  const Status sealed = client_.hand_over();
  if (sealed.ok()) {
    image_.sealed(true);
    log_.info(fmt::format("the image is sealed at generation {}{}", image_.state().generation,
                          keeper_ != nullptr ? "" : ", or is when its other devices are gone"));
  } else {
    log_.warning("the image could not be sealed: " + operator_text(sealed.error()));
  }
}

// What was handed over and is in memory only belongs on the image first: it may be all that is left
// of it one day.
Status TpmStorage::bring_up_to_date() {
  if (!tpm_.has_changes() || tpm_.failed() ||
      ((!custody_.must_look() || look_again()) && commit())) {
    return {};
  }
  return Error(ErrorKind::poisoned, "what the TPM has changed is not on its image", "see the log");
}

Status TpmStorage::mark_image_ours() {
  if (!custody_.has_image() || !custody_.is_ours() || !image_.state().sealed) {
    return {};
  }
  Status unsealed = unseal_image();
  if (unsealed.ok()) {
    image_.sealed(false);
    let_go_.reset();
    log_.info(fmt::format("the image is unsealed at generation {}", image_.state().generation));
  }
  return unsealed;
}

// ---- Which image it is

// The drive's content may have been put back while the machine was: is it what we left?
bool TpmStorage::look_again() {
  if (setup_.shared) {
    return is_still_there();
  }
  const std::uint64_t generation_before = image_.state().generation;
  const std::string where = image_.location();
  // By the same connection: it is the drive that changed, and a confined process may not get
  // another one.
  const Result<bool> changed = client_.look_again();
  if (changed.ok() && !*changed) {
    return true;
  }
  if (!changed.ok() && keeper_ != nullptr && keeper_->is_attached()) {
    return fail(changed.error(), "a look at the drive");
  }
  trouble_.forget();
  Result<TpmImage> image = changed.ok()
                               ? read_tpm_image(client_, where, {tpm_.version(), blobs_prefix_})
                               : Result<TpmImage>(changed.error());
  if (!image.ok()) {
    lose_image();
    return fail(image.error(), "opening a drive whose content was put back");
  }
  const std::uint64_t generation = image->state.generation;
  if (const Status taken = image_.adopt(std::move(*image), where, AdoptedImage::Whose::as_it_says);
      !taken.ok()) {
    lose_image();
    return fail(taken.error(), "taking up the state of a drive whose content was put back");
  }
  log_.info(fmt::format("the drive's content was changed underneath: it was generation {} and is "
                        "generation {}",
                        generation_before, generation));
  return true;
}

// INV7e: what was changed underneath may be somebody else's, who goes on with it.
bool TpmStorage::is_still_there() {
  const Result<bool> current = is_current();
  if (!current.ok()) {
    return fail(current.error(), "a look at the image");
  }
  if (!*current) {
    log_.error(image_.location() +
               ": TPM commands fail, and the image is let go: somebody else has "
               "opened it since, or its content was put back");
    gone_on_elsewhere();
    let_go_.reset();
    leave_image();
  }
  return *current;
}

Result<bool> TpmStorage::is_current() {
  if (keeper_ != nullptr) {
    return keeper_->is_current();
  }
  const Result<bool> changed = client_.look_again();
  return !changed.ok() && changed.error().kind() == ErrorKind::stale ? Result<bool>(false)
                                                                     : was_changed(changed);
}

// One that the TPM cannot have.
void TpmStorage::lose_image() {
  custody_.image_given_up();
  [[maybe_unused]] const Status closed = let_go();
  leave_place();
}

// The state is on it, as far as it is to be.
Status TpmStorage::let_go() {
  if (keeper_ != nullptr) {
    return keeper_->detach();
  }
  let_go_as_it_is();
  const Status gone = client_.claim({}); // The device is in use no more.
  const Status closed = client_.close();
  return gone.ok() ? closed : gone;
}

// By the operator's word to the image's owner.
bool TpmStorage::was_taken_back_elsewhere() {
  if (keeper_ != nullptr || !image_.state().sealed) {
    return false;
  }
  const Result<ImageState> state = client_.state();
  if (!state.ok() || state->sealed) {
    return false;
  }
  image_.sealed(false);
  custody_.take_over();
  return true;
}

// The drive may have gone before us, with the QEMU that owned it: that is an ordinary end, if
// nothing was left to be written.
bool TpmStorage::is_left_alone(Status& result) {
  const Result<bool> changed =
      keeper_ != nullptr ? was_changed(keeper_->is_current()) : client_.look_again();
  if (changed.ok() && !*changed) {
    return false;
  }
  if (changed.ok()) {
    log_.warning("the drive is left as it is: its content was changed underneath");
  } else {
    log_.warning("the drive is left as it is: " + operator_text(changed.error()));
  }
  if (!changed.ok() && (tpm_.has_changes_to_keep() || !custody_.is_ours())) {
    result = changed.error();
  } else if (changed.ok() && tpm_.has_changes_to_keep()) {
    result = Error(ErrorKind::stale, "changes of the TPM that were not committed are lost: the "
                                     "drive's content was changed underneath");
  }
  if (keeper_ != nullptr) {
    keeper_->abandon();
  } else {
    [[maybe_unused]] const Status gone = let_go();
  }
  return true;
}

Status TpmStorage::close() {
  custody_.controller_gone(); // Who has the state now will not find us again to give it back.
  if (keeper_ != nullptr) {
    keeper_->release();
  }
  if (!custody_.has_image()) {
    return {};
  }
  Status closed;
  if (!custody_.content_may_change() || !is_left_alone(closed)) {
    mark_image_sealed();
    if (custody_.is_ours() && !tpm_.failed()) {
      closed = mark_image_ours();
      [[maybe_unused]] const bool committed = closed.ok() && commit();
    }
    const Status done = let_go();
    closed = closed.ok() ? done : closed;
  }
  leave_place();
  custody_.image_given_up();
  return closed;
}

// As it is.
void TpmStorage::leave_image() {
  let_go_as_it_is();
  leave_place();
  custody_.image_given_up();
}

void TpmStorage::let_go_as_it_is() {
  Status left;
  if (keeper_ != nullptr) {
    left = keeper_->let_go();
  } else if (setup_.shared) { // If it is sealed: other devices go on with one that is not.
    const auto by_owner = client_.let_go({});
    left = by_owner.ok() ? Status() : by_owner.error();
  }
  if (!left.ok()) {
    log_.warning("the image could not be let go: " + operator_text(left.error()));
  }
}

void TpmStorage::leave_place() {
  if (place_ != nullptr) {
    place_->leave();
  }
}

} // namespace vnvram
