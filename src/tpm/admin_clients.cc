#include "tpm/admin_clients.h"

#include <algorithm>
#include <tuple>

#include "tpm/admin_stream.h"

namespace vnvram {

void AdminClients::make_room() {
  if (streams_.size() >= count_max_) {
    drop_a_silent_one();
  }
}

void AdminClients::drop_a_silent_one() {
  const auto silent = std::min_element(
      streams_.begin(), streams_.end(), [](const AdminStream* one, const AdminStream* other) {
        return std::tuple(one->waits_for_answer(), one->last_active()) <
               std::tuple(other->waits_for_answer(), other->last_active());
      });
  if (silent != streams_.end()) {
    (*silent)->give_up();
    streams_.erase(silent); // It counts no more, though Cap'n Proto has yet to let go of it.
  }
}

} // namespace vnvram
