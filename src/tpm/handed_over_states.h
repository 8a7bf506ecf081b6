// What goes out when a TPM's state is handed over, as it was at that moment.
#pragma once

#include <cstddef>
#include <vector>

#include "base/secret_bytes.h"
#include "soft_tpm/soft_tpm.h"
#include "vnvram/hand_over.h"
#include "vnvram/result.h"

namespace vnvram {

/// Of these states, in the order of TpmState, of which an empty one is none: it goes with them in
/// the stream, because whoever has them can make it. A TPM that runs says in its volatile state at
/// which millisecond that was made, so its number is new each time; where one says no such thing
/// (a TPM 1.2, one that is off), two numbers are the same only if nothing has changed in between.
/// Errors: those of sha256().
Result<HandOverNumber> hand_over_number(const std::vector<SecretBytes>& states);

/// All three, taken at once, and kept: the image is sealed for exactly these, so whatever is
/// fetched of them, however often, is the same.
class HandedOverStates {
public:
  /// While no command runs (Custody::hand_over()). Not a success: libtpms's result.
  TpmResult take(SoftTpm& tpm);

  [[nodiscard]] const std::vector<std::byte>& of(TpmState state) const {
    return states_.at(static_cast<std::size_t>(state)).get();
  }
  [[nodiscard]] Result<HandOverNumber> number() const { return hand_over_number(states_); }

private:
  std::vector<SecretBytes> states_;
};

} // namespace vnvram
