#include "store/sealing.h"

namespace vnvram {

// INV7c: from the call on nothing is acknowledged. INV7d: what was is in the image that is sealed.
Status Sealing::seal(const HandOverNumber& hand_over) {
  const Status refused = state_.refuse_any_write();
  if (!refused && !state_.writes()) {
    return refused;
  }
  {
    const std::lock_guard lock(state_.mutex);
    state_.sealed = true; // From here on no commit begins; those that have begun are waited for.
  }
  committer_.drain();
  const Status flushed = committer_.flush();
  const Status marked = flushed ? mark(true, hand_over) : flushed;
  if (marked) {
    tell(true);
  }
  return marked;
}

Status Sealing::unseal() {
  const Status refused = state_.refuse_any_write();
  const Status marked = refused ? mark(false, {}) : refused;
  if (marked) {
    {
      const std::lock_guard lock(state_.mutex);
      state_.sealed = false;
    }
    tell(false);
  }
  return marked;
}

void Sealing::tell(bool sealed) {
  std::uint64_t generation = 0;
  {
    const std::lock_guard lock(state_.mutex);
    generation = state_.ring.sequence;
  }
  state_.tell_changed(generation, sealed);
}

// Both copies: whichever rots, the other says the same. INV7f: with the seal goes the number, so
// that nobody else goes on by it.
Status Sealing::mark(bool sealed, const HandOverNumber& hand_over) {
  {
    const std::lock_guard lock(state_.mutex);
    const bool is_marked = (state_.superblock.features_must_know & format::feature_sealed) != 0;
    const bool is_for_another = !hand_over.is_none() && // None is no other one.
                                state_.superblock.hand_over != hand_over.bytes;
    if (is_marked == sealed && !is_for_another) {
      return {};
    }
  }
  for (unsigned copy = 0; copy < format::superblock_count; ++copy) {
    const Status marked = checkpointer_.run(true, [&](format::Superblock& superblock) {
      superblock.features_must_know = (superblock.features_must_know & ~format::feature_sealed) |
                                      (sealed ? format::feature_sealed : 0);
      superblock.hand_over = hand_over.bytes;
    });
    if (!marked) {
      return marked;
    }
  }
  return {};
}

} // namespace vnvram
