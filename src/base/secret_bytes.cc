#include "base/secret_bytes.h"

#include <cstring>

namespace vnvram {

// Not in the header: inlined into a vector's moves, GCC 12 sees an address that it takes for null.
void wipe_memory(std::span<std::byte> memory) {
  if (!memory.empty()) {
    ::explicit_bzero(memory.data(), memory.size());
  }
}

} // namespace vnvram
