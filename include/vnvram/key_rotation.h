// Another data key for an encrypted image.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "vnvram/key.h"

namespace vnvram {

/// How Store::rotate_data_key() goes about it.
struct KeyRotation {
  /// The keys of the slots that are to open the image afterwards, too. Those of public keys need
  /// none.
  std::vector<KeySource> holders = {};
  /// Slots that are not to open the image afterwards, by their numbers, whoever puts them back
  /// meanwhile: how a holder is shut out.
  std::vector<unsigned> without = {};
  /// Slots whose key nobody has given open the image no more. Without it they are a refusal.
  bool leave_out_others = false;
  /// Called now and then. All of it is read, sealed anew, and overwritten where it was.
  std::function<void(std::uint64_t done_bytes, std::uint64_t all_bytes)> progress = {};
};

} // namespace vnvram
