// Allocations that fail when a test says so. Only for programs that link failing_allocations.cc.
#pragma once

namespace vnvram {

/// While it lives, the allocation of this thread that has this number, counted from 0, fails; those
/// after it do not.
class FailingAllocation {
public:
  explicit FailingAllocation(long number);
  FailingAllocation(const FailingAllocation&) = delete;
  FailingAllocation& operator=(const FailingAllocation&) = delete;
  ~FailingAllocation();

  /// Whether it came to that.
  [[nodiscard]] bool has_failed() const;
};

} // namespace vnvram
