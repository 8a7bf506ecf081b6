// Puts the seal on an image whose state goes on elsewhere, and takes it off.
#pragma once

#include "store/checkpointer.h"
#include "store/committer.h"
#include "store/shared_state.h"

namespace vnvram {

/// A checkpoint whose superblocks say it, so that no later opener writes by mistake.
///
/// Threads: all calls may come from any thread, beside commits; not both at once.
class Sealing {
public:
  Sealing(SharedState& state, Committer& committer, Checkpointer& checkpointer)
      : state_(state), committer_(committer), checkpointer_(checkpointer) {}

  /// `hand_over`: none, or the number of the one that it is for.
  Status seal(const HandOverNumber& hand_over);
  Status unseal();

private:
  Status mark(bool sealed, const HandOverNumber& hand_over);
  void tell(bool sealed);

  SharedState& state_;
  Committer& committer_;
  Checkpointer& checkpointer_;
};

} // namespace vnvram
