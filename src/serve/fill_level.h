// How full something gets, and when to say so.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"

namespace vnvram {

/// Of something that has grown since it was looked at first: said once when nine tenths are used,
/// and once more only after it has fallen below eight. What does not grow is as full as it is meant
/// to be.
///
/// Threads: one at a time.
class FillLevel {
public:
  FillLevel(std::uint64_t used_bytes, Clock::Time now) : from_bytes_(used_bytes), from_(now) {}

  /// Where its growth leads to, if that is to be said now.
  std::optional<std::string> look(std::uint64_t used_bytes, std::uint64_t size_bytes,
                                  Clock::Time now);

private:
  std::uint64_t from_bytes_; ///< What was used when its growth began.
  Clock::Time from_;
  bool said_ = false;
};

} // namespace vnvram
