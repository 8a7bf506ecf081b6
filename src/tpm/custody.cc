#include "tpm/custody.h"

namespace vnvram {

bool Custody::serves() const {
  return tpm_.failed() || tpm_.is_off() ||
         ((has_image_ || setup_.image_comes_by_itself) && !powering_on_ &&
          state_ != State::handed_over);
}

bool Custody::may_run() const {
  return tpm_.failed() || tpm_.is_off() || (serves() && is_ours() && !look_again_);
}

bool Custody::may_shut_down() const {
  return setup_.shuts_down && has_image_ && is_ours() && !copied_;
}

bool Custody::hand_over() {
  State expected = State::ours;
  if (!setup_.seals || !state_.compare_exchange_strong(expected, State::handed_over)) {
    return false;
  }
  log_.info("the state was handed over: nothing is committed until it is ours again");
  return true;
}

void Custody::take_back() {
  copied_ = false;
  State expected = State::handed_over;
  if (state_.compare_exchange_strong(expected, State::ours)) {
    log_.info("the state is ours again");
  }
}

void Custody::controller_gone() {
  State expected = State::handed_over;
  if (state_.compare_exchange_strong(expected, State::gone)) {
    log_.info("the state went on to another place, or into a file: this TPM is sealed");
  }
}

void Custody::take_over() {
  copied_ = false;
  if (state_.exchange(State::ours) != State::ours) {
    log_.info("the state is ours again");
  }
}

bool Custody::gone_on_elsewhere() {
  return state_.exchange(State::gone) != State::gone;
}

void Custody::powered_on(bool restored) {
  copied_ = false;
  look_again_ = true;
  if (restored) {
    take_over();
  }
  powering_on_ = false;
}

void Custody::go_on(Standing standing) {
  state_ = standing.state;
  copied_ = standing.copied;
  look_again_ = standing.must_look;
}

void Custody::image_adopted(bool content_may_change) {
  content_may_change_ = content_may_change;
  has_image_ = true;
}

bool Custody::image_is_sealed() {
  State expected = State::ours;
  return state_.compare_exchange_strong(expected, State::gone);
}

bool Custody::is_to_be_sealed() const {
  const State state = state_;
  return state == State::gone || (state == State::handed_over && !content_may_change_);
}

} // namespace vnvram
