#include "serve/hand_over.h"

#include <algorithm>

namespace vnvram {

void HandOver::begin_use(std::uint64_t session) {
  const std::lock_guard lock(mutex_);
  in_use_.insert(session);
}

void HandOver::end_use(std::uint64_t session) {
  const std::lock_guard lock(mutex_);
  in_use_.erase(session);
}

bool HandOver::uses(std::uint64_t session) const {
  const std::lock_guard lock(mutex_);
  return in_use_.contains(session);
}

void HandOver::say(std::uint64_t session) {
  const std::lock_guard lock(mutex_);
  said_by_.insert(session);
}

void HandOver::take_back(std::uint64_t session) {
  const std::lock_guard lock(mutex_);
  const bool is_device = in_use_.contains(session) || said_by_.contains(session);
  std::erase_if(said_by_, [&](std::uint64_t each) {
    return !is_device || each == session || !in_use_.contains(each);
  });
  is_expected_ = false;
}

bool HandOver::was_said() const {
  const std::lock_guard lock(mutex_);
  return !said_by_.empty();
}

bool HandOver::is_due() const {
  const std::lock_guard lock(mutex_);
  return !said_by_.empty() &&
         std::includes(said_by_.begin(), said_by_.end(), in_use_.begin(), in_use_.end());
}

} // namespace vnvram
