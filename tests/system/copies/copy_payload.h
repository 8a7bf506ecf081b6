// What the committer writes: each commit follows from its number alone, and changes bytes in many
// places, each of which tells the number. So a copy that mixes two moments cannot look right.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vnvram/store.h"

namespace vnvram::test {

/// What the image is created with. Commit 0 is to be the first.
std::vector<BlobSpec> payload_blobs();

/// Rewrites one blob as a whole, one window of another, and the number.
Transaction payload_transaction(std::uint64_t number);

/// What a store holds.
struct PayloadFound {
  std::uint64_t number = 0; ///< Of the newest commit in it.
  /// Empty if every byte is as all commits up to that one have left it: else the store has handed
  /// out a mixture.
  std::string mixture;
};

/// Compares every byte. Errors: only what the store says itself.
Result<PayloadFound> read_payload(Store& store);

} // namespace vnvram::test
