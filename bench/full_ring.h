// What a power cut leaves at the worst moment: an image whose whole ring is to be replayed.
#pragma once

#include <cstdint>
#include <string>

#include "vnvram/key_ring.h"

namespace vnvram::bench {

struct RingUse {
  std::uint64_t size_bytes = 0;
  std::uint64_t used_bytes = 0;
};

/// Commits to the image until no further record fits, while a checkpoint waits to be flushed, and
/// copies it to the file `copy` as it is then. The keys are those of an encrypted one, or none.
RingUse copy_with_full_ring(const std::string& image, const KeyRing& keys, const std::string& copy);

/// A copy that is durable, as what a power cut leaves: nothing of it is in the page cache that an
/// opener would have to wait for.
void copy_durably(const std::string& from, const std::string& to);

} // namespace vnvram::bench
