// The image goes on at another place, with another owner.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "serve/hand_over.h"
#include "serve/hold_clock.h"
#include "vnvram/hand_over.h"
#include "vnvram/result.h"

namespace vnvram {

/// What is left to be done when somebody has made a copy of it there: see ImageKeeper::leave().
///
/// Threads: any.
class Departure {
public:
  struct Setup {
    /// Of the image, for who opens the copy.
    std::string location = {};
    /// Before anything is done: whoever starts owners remembers that what one that comes next
    /// cannot open here any more is there. Empty: nobody would start one.
    std::function<Status(const std::string& to)> announce = {};
    /// This owner is to end, soon.
    std::function<void()> end = {};
  };

  /// All outlive it.
  Departure(ImageKeeper& keeper, HoldClock& holds, const HandOver& hand_over, Setup setup)
      : keeper_(keeper), holds_(holds), hand_over_(hand_over), setup_(std::move(setup)) {}

  [[nodiscard]] const std::string& location() const { return setup_.location; }
  /// Errors, before a copy is made: unsupported (nobody would start another owner), sealed (the
  /// machine has gone, or goes, to another host).
  [[nodiscard]] Status check() const;
  /// Errors: those, and stale (the hold has ended), invalid_argument (also a place that only who
  /// names it can open, or whose name has a key in it), those of announcing and of
  /// ImageKeeper::leave(). Once the seal has been asked for there is only io: nobody knows.
  Status leave(std::uint64_t hold, const HandOverNumber& number, const std::string& to);

private:
  ImageKeeper& keeper_;
  HoldClock& holds_;
  const HandOver& hand_over_;
  const Setup setup_;
};

} // namespace vnvram
