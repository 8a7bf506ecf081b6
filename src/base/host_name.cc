#include "base/host_name.h"

#include <array>

#include <unistd.h>

namespace vnvram {

std::string host_name() {
  std::array<char, 256> name{};
  constexpr std::size_t length_max = 63; // As long as a superblock has room for.
  return ::gethostname(name.data(), name.size() - 1) == 0
             ? std::string(name.data()).substr(0, length_max)
             : std::string();
}

} // namespace vnvram
