#include "serve/departure.h"

namespace vnvram {

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

Status Departure::leave(std::uint64_t hold, const HandOverNumber& number, const std::string& to) {
  if (Status may = check(); !may) {
    return may;
  }
  if (number.is_none() || to.empty()) {
    return Error(ErrorKind::invalid_argument, "a move has a number, and a place where it leads to");
  }
  const Status left = holds_.while_held(hold, [&] {
    const Status announced = setup_.announce(to);
    return announced ? keeper_.leave(number, to) : announced;
  });
  if (keeper_.has_left()) { // Also if nobody knows whether it has: who comes next looks.
    setup_.end();
  }
  return left;
}

} // namespace vnvram
