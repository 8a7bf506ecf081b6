// Every operation of a kind fails once, each in a run of its own.
#pragma once

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "support/simulated_device.h"

namespace vnvram::test {

/// Run(kind, count, encrypted) lets the count-th operation of that kind fail, has failure_came()
/// and expect_sound(). Returns how many runs there were before the first one that had no such
/// operation.
template <typename Run> std::uint64_t fail_each(OperationKind kind, bool encrypted) {
  for (std::uint64_t count = 1;; ++count) {
    SCOPED_TRACE("operation " + std::to_string(count));
    Run run(kind, count, encrypted);
    if (!run.failure_came()) {
      testing::Test::RecordProperty("faults", std::to_string(count - 1));
      return count - 1;
    }
    run.expect_sound();
    if (testing::Test::HasFailure()) {
      return count;
    }
  }
}

} // namespace vnvram::test
