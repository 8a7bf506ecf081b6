// What whoever has started an image's owner says to it when all of a machine's programs end.
#pragma once

#include <string_view>

namespace vnvram {

/// The front ends end now, and it will be asked to behind them.
inline constexpr std::string_view ending_word = "ending";

} // namespace vnvram
