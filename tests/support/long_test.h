// Tests that are for ./dev prove.
#pragma once

#include <cstdlib>

namespace vnvram::test {

inline bool are_long_tests_wanted() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing changes the environment.
  return std::getenv("VNVRAM_LONG_TESTS") != nullptr;
}

} // namespace vnvram::test
