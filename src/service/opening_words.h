// What an image's owner says to whoever has started it of each opening, so that the next owner of
// the same machine can tell whether somebody else has come in between.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vnvram {

inline constexpr std::string_view opening_beginning = "opened ";

[[nodiscard]] inline std::string opening_report(std::uint64_t epoch) {
  return std::string(opening_beginning) + std::to_string(epoch);
}

} // namespace vnvram
