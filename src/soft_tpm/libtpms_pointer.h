// What libtpms has allocated, and its caller frees.
#pragma once

#include <cstdlib>
#include <memory>

namespace vnvram {

struct LibtpmsFree {
  // NOLINTNEXTLINE(cppcoreguidelines-owning-memory,cppcoreguidelines-no-malloc)
  void operator()(void* memory) const { std::free(memory); }
};
template <typename T> using LibtpmsPointer = std::unique_ptr<T, LibtpmsFree>;

} // namespace vnvram
