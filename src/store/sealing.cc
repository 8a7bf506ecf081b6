#include "store/sealing.h"

namespace vnvram {

Status Sealing::seal() {
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
  const Status marked = flushed ? mark(true) : flushed;
  if (marked) {
    tell(true);
  }
  return marked;
}

Status Sealing::unseal() {
  const Status refused = state_.refuse_any_write();
  const Status marked = refused ? mark(false) : refused;
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

// Both copies: whichever rots, the other says the same.
Status Sealing::mark(bool sealed) {
  {
    const std::lock_guard lock(state_.mutex);
    const bool is_marked = (state_.superblock.features_must_know & format::feature_sealed) != 0;
    if (is_marked == sealed) {
      return {};
    }
  }
  for (unsigned copy = 0; copy < format::superblock_count; ++copy) {
    const Status marked = checkpointer_.run(true, [&](format::Superblock& superblock) {
      superblock.features_must_know = (superblock.features_must_know & ~format::feature_sealed) |
                                      (sealed ? format::feature_sealed : 0);
    });
    if (!marked) {
      return marked;
    }
  }
  return {};
}

} // namespace vnvram
