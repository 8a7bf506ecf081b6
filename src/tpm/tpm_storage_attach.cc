// TpmStorage: an image comes, and goes, while the TPM serves.
#include <memory>
#include <string>
#include <utility>

#include <fmt/core.h>

#include "base/operator_text.h"
#include "client/blob_client.h"
#include "device/location.h"
#include "owner/image_keeper.h"
#include "tpm/handed_over_states.h"
#include "tpm/operators_word.h"
#include "tpm/tpm_storage.h"

namespace vnvram {

Error TpmStorage::of_another_process() const {
  return {ErrorKind::unsupported, image_.location() + ": another process has the image open",
          "vnvram serve is to be ended and started again"};
}

Status TpmStorage::check_reopens(const std::string& location) const {
  if (!setup_.confined || !ImageKeeper::needs_files(location)) {
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
  if (setup_.shared) {
    return Error(ErrorKind::unsupported,
                 image_.location() + ": it is let go when QEMU fetches the state, and not before",
                 "hold and resume are enough for a copy");
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
  log_.info(fmt::format("{} is detached, generation {}", location_name(image_.location()),
                        image_.state().generation));
  return closed;
}

Status TpmStorage::attach(const std::string& location, std::unique_ptr<BlockDevice> device) {
  const std::string where = location.empty() ? image_.location() : location;
  if (keeper_ == nullptr && !setup_.shared) {
    return of_another_process();
  }
  if (custody_.has_image() || (keeper_ != nullptr && keeper_->is_attached())) {
    return Error(ErrorKind::exists, where + ": an image is attached", "detach it first");
  }
  if (Status opens = check_reopens(where); !opens.ok()) {
    return opens;
  }
  trouble_.forget();
  const Result<std::optional<GoOn>> go_on = what_to_go_on_from();
  if (!go_on.ok()) {
    return go_on.error();
  }
  Status opened = open(where, std::move(device), *go_on);
  const bool was_here = *go_on && let_go_ == *go_on;
  if (!opened.ok()) {
    if (setup_.shared && was_here && opened.error().kind() == ErrorKind::stale) {
      gone_on_elsewhere();
    }
    return opened;
  }
  Result<TpmImage> image = read_tpm_image(client_, where, {tpm_.version(), blobs_prefix_});
  Status taken = image.ok() ? Status() : image.error();
  std::uint64_t generation = 0;
  if (image.ok()) {
    generation = image->state.generation;
    custody_.has_looked();
    using Whose = AdoptedImage::Whose;
    taken = image_.adopt(std::move(*image), where, was_here ? Whose::left_here : Whose::as_it_says);
  }
  if (!taken.ok()) {
    lose_image();
    return taken;
  }
  if (!image_.state().sealed) {
    let_go_.reset(); // Else it stays known by that until it is unsealed.
  }
  if (setup_.shared) {
    note(was_here ? taken_back_words : came_words, where);
  } else {
    log_.info(fmt::format("{} is attached, generation {}", where, generation));
  }
  return {};
}

Status TpmStorage::open(const std::string& location, std::unique_ptr<BlockDevice> device,
                        const std::optional<GoOn>& go_on) {
  if (keeper_ == nullptr) {
    return client_.go_on(*go_on);
  }
  const ImageKeeper::Opening opening = {
      .location = location, .accept_sealed = !setup_.shared, .go_on = go_on};
  return device != nullptr ? keeper_->attach(std::move(device), opening) : keeper_->attach(opening);
}

// The image that belongs to what the TPM has in memory, or has been set. Nothing: whatever is
// there, which is so for one that only we see.
Result<std::optional<GoOn>> TpmStorage::what_to_go_on_from() const {
  const bool has_other_state = tpm_.has_state_from_elsewhere();
  if (!setup_.shared) {
    return std::optional<GoOn>();
  }
  // What the one who has control loads is a state of this machine, which is here still.
  if (let_go_ && !(has_other_state && custody_.state() == Custody::State::gone)) {
    return let_go_;
  }
  if (!has_other_state) {
    return Error(ErrorKind::sealed,
                 image_.location() + ": it was not let go here, and QEMU has not set a state that "
                                     "could have come with it",
                 "with --incoming a machine comes by migration; one that is started needs "
                 "vnvram-tpm without it");
  }
  const Result<HandOverNumber> number = hand_over_number(tpm_.states_that_were_set());
  return number.ok() ? Result<std::optional<GoOn>>(GoOn{.hand_over = *number}) : number.error();
}

Status TpmStorage::attach_at_place() {
  if (place_ == nullptr) {
    return {};
  }
  if (custody_.has_image()) {
    return place_->check();
  }
  if (const auto go_on = what_to_go_on_from(); !go_on.ok()) {
    return go_on.error(); // Nothing is touched then.
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

Status TpmStorage::hand_over(const HandOverNumber& number) {
  if (!custody_.has_image()) { // What was handed over once is so anew.
    if (Status back = take_image_back(); !back.ok()) {
      return back;
    }
  }
  if (image_.state().sealed && let_go_ && tpm_.has_changes()) {
    if (Status unsealed = unseal_image(); !unsealed.ok()) {
      return unsealed;
    }
    image_.sealed(false);
  }
  if (Status done = bring_up_to_date(); !done.ok()) {
    return done;
  }
  const bool was_sealed = image_.state().sealed;
  image_.sealed(true); // As far as commits go, whatever comes of it.
  const auto let_go_before = let_go_;
  if (keeper_ == nullptr) {
    let_go_ = GoOn{.hand_over = number}; // Also if its owner dies, and another one finds it sealed.
  }
  const Result<OwnerEpoch> epoch = seal_and_let_go(number);
  if (!epoch.ok()) {
    if (keeper_ == nullptr && epoch.error().kind() == ErrorKind::in_use) { // Nothing was done.
      image_.sealed(was_sealed);
      let_go_ = let_go_before;
    }
    return epoch.error();
  }
  let_go_ = GoOn{.hand_over = number, .own_epoch = *epoch};
  leave_place();
  custody_.image_given_up();
  note(let_go_words, image_.location());
  return {};
}

// It is all on the image then: nothing is left to be written, and nobody waits longer than he has
// to. What was let go, and no other host can have, is taken back like one that was handed over.
Result<OwnerEpoch> TpmStorage::seal_and_let_go(const HandOverNumber& number) {
  is_nobodys_ = false;
  if (keeper_ == nullptr) {
    Result<OwnerEpoch> epoch = client_.let_go(number);
    if (!epoch.ok() && epoch.error().kind() != ErrorKind::stale) {
      const Result<ImageState> state = client_.state();
      is_nobodys_ = state.ok() && state->elsewhere;
    }
    return epoch;
  }
  if (Status sealed = keeper_->seal(number); !sealed.ok()) {
    return sealed.error();
  }
  const OwnerEpoch epoch = keeper_->epoch();
  if (Status left = keeper_->let_go(); !left.ok()) {
    let_go_ = GoOn{.hand_over = number, .own_epoch = epoch};
    leave_place();
    custody_.image_given_up();
    return left.error();
  }
  return epoch;
}

// Of an owner that has died in between the next one has let it go.
Status TpmStorage::unseal_image() {
  if (keeper_ != nullptr || !let_go_) {
    return client_.take_back();
  }
  const Status here = client_.go_on(*let_go_);
  return here.ok() ? client_.take_back() : here;
}

// What its owner has let go, and no other host can have, is nobody's: nothing is lost if storage
// refuses it now. It is taken back by a later command, or when QEMU says that its machine goes on.
bool TpmStorage::fail_to_unseal(const Error& error) {
  if (!is_nobodys_) {
    return fail(error, "unsealing");
  }
  custody_.image_given_up();
  complained_ = true;
  log_.error("TPM commands fail: " + operator_text(error));
  return false;
}

Status TpmStorage::take_image_back() {
  return custody_.is_ours() || let_go_
             ? attach_at_place()
             : Error(ErrorKind::sealed, image_.location() + ": it was not let go here");
}

Status TpmStorage::open_to_power_on() {
  const bool has_other_state = tpm_.has_state_from_elsewhere();
  if (custody_.has_image() || custody_.is_ours() || has_other_state) {
    return attach_at_place();
  }
  if (custody_.state() == Custody::State::handed_over) {
    return {}; // It is powered on in memory. Whether it goes on here is not said yet.
  }
  return Error(ErrorKind::sealed,
               image_.location() + ": the TPM's state was handed over to another host",
               std::string(operators_word));
}

// An owner that is another process has a log of its own.
void TpmStorage::note(SharedWords words, const std::string& location) const {
  if (keeper_ != nullptr) {
    log_.info(words(location, image_.state().generation));
  }
}

void TpmStorage::gone_on_elsewhere() {
  if (custody_.gone_on_elsewhere()) {
    note(gone_on_words, image_.location());
  }
}

void TpmStorage::leave_what_is_sealed() {
  if (!custody_.has_image() || !image_.state().sealed) {
    return;
  }
  leave_image();
  note(let_go_words, image_.location());
}

Status TpmStorage::unseal() {
  if (setup_.shared && !custody_.has_image()) { // The word does not take it from anybody.
    if (Status back = take_image_back(); !back.ok()) {
      return back;
    }
  }
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
