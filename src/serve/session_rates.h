// How fast a session may ask.
#pragma once

#include <cstdint>

namespace vnvram {

/// Of each session, in a second; in a moment, a second's worth. Who is faster is read no further
/// until then: its calls are carried out later, and nobody else's. 0: as fast as it likes.
struct SessionRates {
  std::uint64_t sent_max_bytes = 0; ///< Of what it sends.
  std::uint64_t calls_max = 0;
};

} // namespace vnvram
