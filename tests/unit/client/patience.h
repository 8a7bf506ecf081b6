// How long a client waits for its owner in tests.
#pragma once

#include <chrono>

namespace vnvram::test {

inline constexpr std::chrono::milliseconds patience =
    std::chrono::seconds(150); ///< A busy machine stands still for long.
inline constexpr std::chrono::milliseconds impatience{50};

} // namespace vnvram::test
