#include "owner/image_keeper.h"

#include <unistd.h>

#include <cassert>
#include <utility>

#include "device/given_back.h"
#include "device/location.h"
#include "device/nbd_library.h"
#include "store/counted_device.h"
#include "store/move_marks.h"
#include "vnvram/reservation.h"

namespace vnvram {

Result<StoreUse> ImageKeeper::use(StoreGate::Purpose purpose) {
  StoreGate::Pass pass = gate_.enter(purpose);
  if (has_left_ && purpose == StoreGate::Purpose::change) {
    return Error(ErrorKind::absent, location_ + ": the image was moved");
  }
  if (Status taken = check_taken(purpose); !taken) {
    return taken.error();
  }
  return use(std::move(pass));
}

Status ImageKeeper::check_taken(StoreGate::Purpose purpose) const {
  return purpose == StoreGate::Purpose::change && refuses_changes_
             ? Error(ErrorKind::sealed, location_ + ": its machine has gone on elsewhere",
                     "it is not to go on here")
             : Status();
}

std::optional<Result<StoreUse>> ImageKeeper::try_to_change() {
  std::optional<StoreGate::Pass> pass = gate_.try_to_change();
  if (!pass || has_left_) {
    if (barred_) {
      has_turned_away_ = true;
    }
    return std::nullopt;
  }
  const Status taken = check_taken(StoreGate::Purpose::change);
  if (!taken) {
    has_turned_away_ = true;
  }
  return taken ? use(*std::move(pass)) : taken.error();
}

Result<StoreUse> ImageKeeper::use(StoreGate::Pass pass) {
  if (store_ == nullptr) {
    return Error(ErrorKind::absent, location_.empty() ? std::string("no image is attached")
                                                      : location_ + ": the image is detached");
  }
  return StoreUse(std::move(pass), *store_);
}

Result<CheckReport> ImageKeeper::check() {
  const std::lock_guard one(check_mutex_);
  {
    Result<StoreUse> store = use(StoreGate::Purpose::read);
    if (!store) {
      return store.error();
    }
    Result<CheckReport> report = check_image((*store)->device(), {}, setup_.store.keys);
    if (report || report.error().kind() != ErrorKind::stale) {
      return report;
    }
  }
  return check_at_rest();
}

Result<CheckReport> ImageKeeper::check_at_rest() {
  Result<StoreUse> store = use(StoreGate::Purpose::read_together);
  if (!store) {
    return store.error();
  }
  Status at_rest = (*store)->flush(); // Nothing comes by itself behind it but a checkpoint.
  if (at_rest && !(*store)->info().content_may_change) {
    at_rest = (*store)->checkpoint();
  }
  return at_rest ? check_image((*store)->device(), {}, setup_.store.keys) : at_rest.error();
}

// INV7k: who begins is about to write to another place, and who holds changes to say that the image
// is there from now on. It may be the same place.
Status ImageKeeper::check_free_to_move() const {
  if (has_left_) {
    return Error(ErrorKind::sealed, location_ + ": the image was moved", "look where it is now");
  }
  return is_held() ? Error(ErrorKind::in_use,
                           location_ + ": changes are held, maybe for another move of the image",
                           "`release` them if nobody moves it")
                   : Status();
}

Result<std::vector<ByteRange>> ImageKeeper::take_written(std::uint64_t& number) {
  Result<StoreUse> store = use(StoreGate::Purpose::read);
  const Status may = number == 0 ? check_free_to_move() : Status();
  if (!store || !may) {
    return store ? may.error() : store.error();
  }
  WrittenBlocks& written = CountedDevice::of(**store).written();
  number = number == 0 ? written.begin() : number;
  if (number == 0) {
    return Error(ErrorKind::io, location_ + ": no random numbers to begin a move with");
  }
  std::vector<ByteRange> ranges;
  return written.take(number, ranges)
             ? Result<std::vector<ByteRange>>(std::move(ranges))
             : Error(ErrorKind::in_use, location_ + ": somebody else has begun to move the image",
                     "let only one of them do it");
}

Result<SealedSuperblocks> ImageKeeper::sealed_superblocks(const HandOverNumber& hand_over) {
  Result<StoreUse> store = use(StoreGate::Purpose::read);
  return store ? vnvram::sealed_superblocks((*store)->device(), hand_over, setup_.store.keys)
               : store.error();
}

Status ImageKeeper::attach(const Opening& opening) {
  if (is_attached()) {
    return Error(ErrorKind::exists, opening.location + ": an image is attached", "detach it first");
  }
  if (opening.access == Access::read_write) {
    if (setup_.reserve && is_served(opening.location)) { // Before anybody is shut out there.
      return Error(ErrorKind::invalid_argument,
                   opening.location + ": is no block device to reserve",
                   "leave the reservation out: RBD has a fence of its own");
    }
    if (Status lengthened =
            lengthen_vm_image(opening.location, setup_.store.grow_max_bytes, setup_.device);
        !lengthened) {
      return lengthened;
    }
  }
  Result<std::unique_ptr<BlockDevice>> device =
      open_device(opening.location, opening.access, setup_.device);
  if (!device) {
    return device.error();
  }
  return attach(*std::move(device), opening);
}

Status ImageKeeper::attach(std::unique_ptr<BlockDevice> device, const Opening& opening) {
  if (is_attached()) {
    return Error(ErrorKind::exists, opening.location + ": an image is attached", "detach it first");
  }
  if (opening.take_over) {
    if (Status taken = take_over(*device, *opening.take_over, setup_.store.keys); !taken) {
      return taken;
    }
  }
  if (opening.access == Access::read_write) {
    if (setup_.reserve) { // Now: a take-over that is refused has shut nobody out.
      if (Status possible = reserve_when_locked(*device); !possible) {
        return possible;
      }
    }
    set_space_policy(*device, setup_.space, setup_.space_warned);
  }
  const StoreGate::Closure closed = gate_.close();
  location_ = opening.location;
  return open(std::move(device), opening);
}

// With the gate closed.
Status ImageKeeper::open(std::unique_ptr<BlockDevice> device, const Opening& opening) {
  assert(!is_attached());
  const bool only_looks = opening.access == Access::read_only;
  OpenOptions options = setup_.store;
  options.access = opening.access;
  options.accept_sealed = opening.accept_sealed;
  options.go_on = opening.go_on;
  options.comes_after = opening.comes_after;
  options.accept_unclosed = options.accept_unclosed || opening.accept_unclosed || opening.take_over;
  if (only_looks) {
    options.anchor = {};
  }
  options.failed_in_background = [this](const Error& error) { failures_.tell(error); };
  options.changed = [this](std::uint64_t generation, bool sealed) {
    if (!has_left_) {
      changes_.tell(generation, sealed);
    }
  };
  Result<std::unique_ptr<Store>> store = Store::open(std::move(device), std::move(options));
  if (!store) {
    return store.error();
  }
  store_ = *std::move(store);
  opened_by_pid_ = ::getpid();
  const StoreInfo info = store_->info();
  if (setup_.opened && !only_looks) {
    setup_.opened(info.epoch);
  }
  changes_.tell(info.generation, info.sealed);
  return {};
}

OwnerEpoch ImageKeeper::epoch() const {
  const AnchorPoint point = store_->image_point();
  return {.number = point.epoch_number, .random = point.epoch_random};
}

bool ImageKeeper::needs_files(const std::string& location) {
  return vnvram::needs_files(location);
}

void ImageKeeper::load_libraries() {
  [[maybe_unused]] const auto loaded =
      NbdLibrary::load(); // Without it attach() says what is missing.
}

// No front end uses it any more, nor finds it.
std::unique_ptr<Store> ImageKeeper::take_store() {
  std::unique_ptr<Store> store;
  {
    const StoreGate::Closure closed = gate_.close();
    store = std::move(store_);
  }
  release();
  return store;
}

Status ImageKeeper::detach() {
  const std::unique_ptr<Store> store = take_store();
  return store == nullptr ? Status() : store->close();
}

void ImageKeeper::abandon() {
  [[maybe_unused]] const Status given_back = let_go();
}

Status ImageKeeper::let_go() {
  const std::unique_ptr<Store> store = take_store();
  return store == nullptr ? Status() : given_back(*store->abandon());
}

Status ImageKeeper::check_let_go() const {
  return store_ == nullptr ? Status() : given_back(store_->device());
}

Result<bool> ImageKeeper::is_current() {
  assert(is_attached());
  const StoreGate::Closure closed = gate_.close();
  return store_->is_current();
}

Status ImageKeeper::reopen() {
  assert(is_attached());
  const StoreGate::Closure closed = gate_.close();
  release();
  Opening again{.location = location_, .accept_sealed = true, .accept_unclosed = true};
  if (store_->device().capabilities().unseen_owners) { // What was not put back, but taken over.
    again.comes_after = {.epoch = store_->info().epoch,
                         .pids = {static_cast<std::uint32_t>(::getpid())}};
  }
  std::unique_ptr<BlockDevice> device = store_->abandon();
  store_.reset();
  return open(std::move(device), again);
}

Status ImageKeeper::hold() {
  assert(is_attached());
  if (barred_) {
    return Error(ErrorKind::in_use,
                 location_ + ": the image is being handed over, or is another "
                             "host's: nothing of it can be held here",
                 "hold it where its machine runs");
  }
  gate_.hold();
  if (Status flushed = store_->flush(); !flushed) {
    return flushed;
  }
  return store_->info().content_may_change ? Status() : store_->checkpoint();
}

void ImageKeeper::release() {
  if (!barred_) {
    gate_.release();
  }
}

void ImageKeeper::bar() {
  barred_ = true;
  gate_.hold(); // Nobody is inside who was to be refused.
  refuses_changes_ = false;
}

void ImageKeeper::bar_anew() {
  has_turned_away_ = false;
  bar();
}

void ImageKeeper::refuse_changes() {
  refuses_changes_ = true;
  gate_.release();
}

void ImageKeeper::unbar() {
  barred_ = false;
  gate_.release();
}

// The mark first: it says nothing without the seal.
Status ImageKeeper::leave(const HandOverNumber& hand_over, const std::string& to) {
  assert(is_attached() && is_held());
  // By a name that it has lost nobody would find it sealed.
  if (Status named = store_->device().check_name(); !named) {
    return named;
  }
  if (Status marked = store_->set_metadata(moved_to_name, move_mark(hand_over, to)); !marked) {
    return marked;
  }
  has_left_ = true; // From here on a cut may have sealed it.
  return store_->seal(hand_over);
}

Status ImageKeeper::adopt_after_fork() {
  assert(is_attached());
  return ::getpid() == opened_by_pid_ ? Status() : store_->adopt_after_fork();
}

} // namespace vnvram
