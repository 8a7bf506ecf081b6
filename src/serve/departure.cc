#include "serve/departure.h"

#include "device/location.h"

namespace vnvram {
namespace {

/// Whatever has gone wrong, the seal may be there.
Error nobody_knows(const Error& error) {
  return {ErrorKind::io, error.cause(), error.remedy()};
}

} // namespace

Status Departure::check() const {
  if (!setup_.announce) {
    return Error(ErrorKind::unsupported,
                 "nothing would start an owner of the image at another place",
                 "end this one, move the image, and start one there; one that has --shared, "
                 "--reservation or --image-key is not moved while it runs");
  }
  return hand_over_.was_said()
             ? Error(ErrorKind::sealed, "the machine is about to go on elsewhere, or has gone",
                     "let that end first")
             : Status();
}

// INV7j: from the hold on, which was there before the rest was copied, nothing was acknowledged.
Status Departure::leave(std::uint64_t hold, const HandOverNumber& number, const std::string& to) {
  if (Status may = check(); !may) {
    return may;
  }
  if (number.is_none() || to.empty()) {
    return Error(ErrorKind::invalid_argument, "a move has a number, and a place where it leads to");
  }
  if (location_name(to) != to) { // Of whoever comes next everybody sees with what it was started.
    return Error(ErrorKind::invalid_argument,
                 location_name(to) + ": a place with a key in it, or that is a descriptor, is none "
                                     "for another owner",
                 "keep the key in a file: keyring=FILE, or keyfile=FILE");
  }
  const Status left = holds_.while_held(hold, [&] {
    const Status announced = setup_.announce(to);
    const bool had_left = keeper_.has_left(); // For another one, who is to hear so.
    const Status sealed = announced ? keeper_.leave(number, to) : announced;
    const bool was_asked_for = keeper_.has_left() && !had_left;
    return sealed || !was_asked_for ? sealed : nobody_knows(sealed.error());
  });
  if (keeper_.has_left()) { // Also if nobody knows whether it has: who comes next looks.
    setup_.end();
  }
  return left;
}

} // namespace vnvram
