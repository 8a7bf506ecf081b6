// How any thread wakes a session's.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// Rung for one reason or another, as often as one likes; heard once, by poll().
class Bell {
public:
  enum Reason : unsigned {
    end = 1,     ///< The session is to end.
    events = 2,  ///< Something has happened that it may watch for.
    changes = 4, ///< What its changes wait for may have come.
    roundup = 8, ///< Somebody waits until it has taken what has come.
  };

  /// Errors: io (no descriptor left).
  static Result<UniqueFd> make_fd() {
    UniqueFd made(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!made.valid()) {
      return Error(ErrorKind::io,
                   "cannot make an event descriptor: " + std::system_category().message(errno));
    }
    return made;
  }
  explicit Bell(UniqueFd event_fd) : event_fd_(std::move(event_fd)) {}

  /// Threads: any.
  void ring(Reason reason) {
    reasons_ |= reason;
    const std::uint64_t one = 1;
    // It fails only when it rings anyway.
    [[maybe_unused]] const auto written = ::write(event_fd_.get(), &one, sizeof(one));
  }
  /// Readable when it was rung. Threads: the session's, as the next.
  [[nodiscard]] int fd() const { return event_fd_.get(); }
  /// Why it was rung since the last time; 0: it was not.
  [[nodiscard]] unsigned heard() {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto taken = ::read(event_fd_.get(), &count, sizeof(count));
    return reasons_.exchange(0);
  }

private:
  UniqueFd event_fd_;
  std::atomic<unsigned> reasons_ = 0;
};

} // namespace vnvram
