// With which sanitizers this was compiled (tests/support/CMakeLists.txt says it, the compilers do
// each in their own way), and what the thread sanitizer, which makes everything ten times slower,
// need not be given.
#pragma once

#include <cstdint>

namespace vnvram::test {

#if defined(VNVRAM_UNDER_THREAD_SANITIZER)
inline constexpr bool under_thread_sanitizer = true;
#else
inline constexpr bool under_thread_sanitizer = false;
#endif
#if defined(VNVRAM_UNDER_ADDRESS_SANITIZER)
inline constexpr bool under_address_sanitizer = true;
#else
inline constexpr bool under_address_sanitizer = false;
#endif
inline constexpr bool sanitized = under_thread_sanitizer || under_address_sanitizer;

/// Every how many-th case is tried by a test in one thread, in which that sanitizer sees nothing.
/// A prime, so that no period of an image is met.
inline constexpr std::uint64_t case_step = under_thread_sanitizer ? 7 : 1;
/// Of `count` such cases.
constexpr std::uint64_t cases(std::uint64_t count) {
  return (count + case_step - 1) / case_step;
}

} // namespace vnvram::test
