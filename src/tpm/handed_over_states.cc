#include "tpm/handed_over_states.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "crypto/digest.h"

namespace vnvram {

// The length before each: no two sets of states are the same bytes.
Result<HandOverNumber> hand_over_number(const std::vector<SecretBytes>& states) {
  std::size_t size_all_bytes = 0;
  for (const SecretBytes& state : states) {
    size_all_bytes += sizeof(std::uint64_t) + state.get().size();
  }
  std::vector<std::byte> all;
  all.reserve(size_all_bytes); // A growing one would leave copies behind.
  for (const SecretBytes& state : states) {
    const std::array<std::uint64_t, 1> size_bytes = {state.get().size()};
    const auto head = std::as_bytes(std::span(size_bytes));
    all.insert(all.end(), head.begin(), head.end());
    all.insert(all.end(), state.get().begin(), state.get().end());
  }
  const SecretBytes secret(std::move(all));
  const Result<Sha256Digest> digest = sha256(secret.get());
  if (!digest.ok()) {
    return digest.error();
  }
  HandOverNumber number;
  std::copy_n(digest->begin(), number.bytes.size(), number.bytes.begin());
  return number;
}

TpmResult HandedOverStates::take(SoftTpm& tpm) {
  states_.clear();
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    std::vector<std::byte> content;
    const TpmResult result = tpm.get_state(static_cast<TpmState>(state), content);
    states_.emplace_back(std::move(content));
    if (result != tpm_success) {
      return result;
    }
  }
  return tpm_success;
}

} // namespace vnvram
