#include "owner/shared_image.h"

namespace vnvram {
namespace {

// Whoever has it may overwrite what is read just then.
constexpr int looks_max = 50;

} // namespace

Status SharedImage::stand_by(Before before) {
  keeper_.bar();
  was_let_go_ = before == Before::owner_of_it;
  has_all_ = true;
  standing_ = Standing::elsewhere;
  return see();
}

Status SharedImage::see() {
  if (!is_seen_only() || keeper_.is_attached()) {
    return {};
  }
  Status seen;
  for (int looks = 0; looks < looks_max; ++looks) {
    seen = keeper_.attach({.location = location_, .access = Access::read_only});
    if (seen.ok() || seen.error().kind() != ErrorKind::stale) {
      break;
    }
  }
  return seen;
}

Status SharedImage::see_anew() {
  if (is_seen_only()) {
    keeper_.abandon();
  }
  return see();
}

// INV7c, INV7d: no change begins from the bar on, and those that have begun are waited for.
Result<OwnerEpoch> SharedImage::hand_over(const HandOverNumber& number) {
  if (standing_ == Standing::ours && keeper_.is_held()) {
    return Error(ErrorKind::in_use,
                 location_ + ": changes are held, and the image is to stay as it is",
                 "`release` it first");
  }
  if (Status here = open({.hand_over = number}); !here) {
    return here.error();
  }
  if (standing_ == Standing::ours) {
    keeper_.bar_anew();
  }
  standing_ = Standing::came; // Until it is let go it can be had by begin().
  if (Status sealed = keeper_.seal(number); !sealed) {
    if (sealed.error().kind() != ErrorKind::in_use && sealed.error().kind() != ErrorKind::stale) {
      return sealed.error();
    }
    lose_to_another(); // Else what waits would wait for ever: nobody would take it back.
    return Error(ErrorKind::stale, sealed.error().cause(), sealed.error().remedy());
  }
  const OwnerEpoch epoch = keeper_.epoch();
  generation_ = keeper_.info().generation;
  // It is all on the image, and nobody waits longer than he has to.
  const Status let_go = keeper_.let_go();
  has_all_ = true;
  was_let_go_ = true;
  const bool is_asked_again = let_go_ && let_go_->hand_over == number;
  let_go_ = GoOn{.hand_over = number, .own_epoch = epoch};
  if (!is_asked_again) {
    tell(let_go_words);
  }
  let_go_here();
  return let_go ? Result<OwnerEpoch>(epoch) : let_go.error();
}

bool SharedImage::is_taken_back(const GoOn& from) const {
  return from.own_epoch || (let_go_ && from.hand_over == let_go_->hand_over);
}

// What has waited is of the machine that was here, and another host may have changed the same.
bool SharedImage::would_change_what_is_newer(const GoOn& from) const {
  return was_let_go_ && !is_taken_back(from) && keeper_.has_turned_away();
}

Status SharedImage::go_on(const GoOn& from) {
  const bool was_here = standing_ == Standing::ours || standing_ == Standing::came;
  if (!was_here && would_change_what_is_newer(from)) {
    return Error(ErrorKind::unsupported,
                 location_ + ": devices of the machine that was here before wait to change it",
                 "end what serves it, and start that anew, for a machine that comes");
  }
  const Status opened = open(from);
  if (opened && !was_here) {
    generation_ = keeper_.info().generation;
    tell(is_taken_back(from) ? taken_back_words : came_words);
  }
  return opened;
}

// With its own epoch it is known for good that somebody else has gone on.
Status SharedImage::take_back() {
  const bool is_here = standing_ == Standing::ours || standing_ == Standing::came;
  if (is_here || let_go_) {
    return go_on(let_go_.value_or(GoOn()));
  }
  return standing_ == Standing::gone
             ? Error(ErrorKind::stale, location_ + ": the machine has gone on elsewhere",
                     "it is not to go on here")
             : Error(ErrorKind::sealed,
                     location_ + ": the image has not come here yet: it is another host's, and was "
                                 "not let go here",
                     "go on from the hand-over that the other host names");
}

std::optional<HandOverNumber> SharedImage::let_go_for() const {
  return standing_ == Standing::elsewhere && let_go_ ? let_go_->hand_over : std::nullopt;
}

void SharedImage::is_seen_as_left() {
  if (keeper_.is_attached() && !keeper_.info().hand_over.is_none()) {
    let_go_ = GoOn{.hand_over = keeper_.info().hand_over, .own_epoch = keeper_.epoch()};
  }
}

Status SharedImage::open(const GoOn& asked) {
  GoOn from = asked;
  if (let_go_ && from.hand_over == let_go_->hand_over && !from.own_epoch) {
    from.own_epoch = let_go_->own_epoch;
  }
  if (standing_ == Standing::ours || standing_ == Standing::came) {
    return check_ours();
  }
  if (ends_) {
    return Error(ErrorKind::sealed, location_ + ": what serves it ends, and opens it no more",
                 "start it anew");
  }
  const bool was_gone = standing_ == Standing::gone;
  keeper_.bar();
  standing_ = Standing::elsewhere;
  keeper_.abandon(); // What was seen only.
  Status opened = keeper_.attach({.location = location_, .go_on = from});
  if (opened) {
    standing_ = Standing::came;
  } else if (was_gone) {
    lose();
  } else if (opened.error().kind() == ErrorKind::stale && from.own_epoch) {
    lose_to_another();
  }
  return opened;
}

Status SharedImage::begin() {
  switch (standing_) {
  case Standing::elsewhere:
  case Standing::gone:
    return Error(ErrorKind::sealed,
                 location_ + ": the image is not this host's: it was handed over, or has not come",
                 "the machine goes on where its QEMU does; if nowhere: end what serves it, and "
                 "`unseal` the image");
  case Standing::ours:
  case Standing::came: break;
  }
  Status unsealed = keeper_.unseal();
  has_all_ = false;
  was_let_go_ = false;
  let_go_.reset();
  standing_ = Standing::ours; // If it is sealed still, the store refuses what has waited.
  keeper_.unbar();
  return unsealed;
}

Status SharedImage::leave() {
  if (standing_ != Standing::came || !keeper_.info().sealed || keeper_.info().hand_over.is_none()) {
    return {};
  }
  Status left = keeper_.let_go();
  tell(let_go_words);
  let_go_here();
  return left;
}

void SharedImage::let_go_here() {
  standing_ = Standing::elsewhere;
  if (ends_) {
    lose();
  }
}

void SharedImage::give_up() {
  if (standing_ != Standing::ours) {
    lose();
  }
}

void SharedImage::end() {
  ends_ = true;
  give_up();
}

// INV7e: what has changed underneath is not opened anew, as an own drive is: it may be the other's.
Status SharedImage::check_ours() {
  if (standing_ != Standing::ours && standing_ != Standing::came) {
    return Error(ErrorKind::absent, location_ + ": the image is not this host's");
  }
  const Result<bool> current = keeper_.is_current();
  if (!current) {
    return current.error();
  }
  if (*current) {
    return {};
  }
  // What it could not write may be there all the same: that was nobody else.
  const std::optional<Error> poisoned = keeper_.info().poisoned;
  if (poisoned && poisoned->kind() != ErrorKind::in_use && poisoned->kind() != ErrorKind::stale) {
    return *poisoned;
  }
  generation_ = keeper_.info().generation;
  lose_to_another();
  return Error(ErrorKind::stale,
               location_ + ": the image is let go: somebody else has opened it since, or its "
                           "content was put back",
               "the machine is not to go on here");
}

void SharedImage::lose() {
  keeper_.bar();
  keeper_.abandon();
  was_let_go_ = true; // Of what is written here from now on nothing belongs on what may come back.
  standing_ = Standing::gone;
  keeper_.refuse_changes();
}

void SharedImage::lose_to_another() {
  tell(gone_on_words);
  lose();
}

void SharedImage::tell(SharedWords words) {
  if (news_) {
    news_(words(location_, generation_));
  }
}

} // namespace vnvram
