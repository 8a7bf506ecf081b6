// What an image's owner says to whoever has started it before the image goes on at another place,
// so that the owner that comes next finds it there.
#pragma once

#include <string>
#include <string_view>

namespace vnvram {

inline constexpr std::string_view move_beginning = "moves ";

[[nodiscard]] inline std::string move_report(const std::string& place) {
  return std::string(move_beginning) + place;
}

} // namespace vnvram
