// Times one call.
#pragma once

#include <chrono>

namespace vnvram::bench {

template <typename Call> double microseconds(Call&& call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  const std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - start;
  return taken.count();
}

} // namespace vnvram::bench
