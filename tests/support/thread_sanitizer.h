// What the thread sanitizer, which makes everything ten times slower, need not be given.
#pragma once

#include <cstdint>

namespace vnvram::test {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool under_thread_sanitizer = true;
#else
inline constexpr bool under_thread_sanitizer = false;
#endif

/// Every how many-th case is tried by a test in one thread, in which that sanitizer sees nothing.
/// A prime, so that no period of an image is met.
inline constexpr std::uint64_t case_step = under_thread_sanitizer ? 7 : 1;
/// Of `count` such cases.
constexpr std::uint64_t cases(std::uint64_t count) {
  return (count + case_step - 1) / case_step;
}

} // namespace vnvram::test
