// What happens at an owner without anybody asking for it.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <variant>

#include "vnvram/error.h"

namespace vnvram {

/// Where a generation is named: none.
inline constexpr std::uint64_t no_generation = std::numeric_limits<std::uint64_t>::max();

/// The image is at this generation.
struct GenerationReached {
  std::uint64_t generation = 0;
};

struct SealChanged {
  bool sealed = false; ///< Now.
};

/// A blob, or the space for blobs to be registered or to grow, will not take much more.
struct NearlyFull {
  std::string blob; ///< Empty: the space.
  std::uint64_t used_bytes = 0;
  std::uint64_t size_bytes = 0;
  std::string forecast; ///< For people: where the growth so far leads to.
};

/// An Error: what the owner does of its own accord has failed.
using OwnerEvent = std::variant<Error, GenerationReached, SealChanged, NearlyFull>;

} // namespace vnvram
