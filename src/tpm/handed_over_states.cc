#include "tpm/handed_over_states.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "crypto/digest.h"

namespace vnvram {

// The length before each: no two sets of states are the same bytes.
Result<HandOverNumber> hand_over_number(const std::vector<std::vector<std::byte>>& states) {
  std::vector<std::byte> all;
  for (const std::vector<std::byte>& state : states) {
    const std::array<std::uint64_t, 1> size_bytes = {state.size()};
    const auto head = std::as_bytes(std::span(size_bytes));
    all.insert(all.end(), head.begin(), head.end());
    all.insert(all.end(), state.begin(), state.end());
  }
  const Result<Sha256Digest> digest = sha256(all);
  if (!digest.ok()) {
    return digest.error();
  }
  HandOverNumber number;
  std::copy_n(digest->begin(), number.bytes.size(), number.bytes.begin());
  return number;
}

TpmResult HandedOverStates::take(SoftTpm& tpm) {
  states_.assign(tpm_state_count, {});
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    if (const TpmResult result = tpm.get_state(static_cast<TpmState>(state), states_.at(state));
        result != tpm_success) {
      return result;
    }
  }
  return tpm_success;
}

} // namespace vnvram
