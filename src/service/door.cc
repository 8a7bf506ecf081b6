#include "service/door.h"

#include <system_error>
#include <utility>

namespace vnvram {

pollfd Door::poll_entry(Clock::time_point now) {
  if (rests_until_ && *rests_until_ <= now) {
    rests_until_.reset();
  }
  return {.fd = rests_until_ ? -1 : listener_->fd(), .events = POLLIN, .revents = 0};
}

UniqueFd Door::accept(Clock::time_point now, const std::function<bool()>& free_descriptor) {
  Listener::Accepted accepted = listener_->accept();
  if (accepted.failure != 0 && free_descriptor()) {
    accepted = listener_->accept();
  }
  if (accepted.failure != 0) {
    rests_until_ = now + limits_.rest;
    if (!std::exchange(complained_, true)) {
      log_->warning(listener_->address().text() + ": clients wait, because none can be taken in: " +
                    std::system_category().message(accepted.failure));
    }
  } else if (accepted.client.valid()) {
    complained_ = false;
  }
  return std::move(accepted.client);
}

} // namespace vnvram
