#include "cli/utc_text.h"

#include <array>
#include <ctime>

namespace vnvram::cli {

std::string utc_text(std::uint64_t seconds) {
  constexpr std::uint64_t year_9999 = 253402300799;
  if (seconds > year_9999) {
    return std::to_string(seconds);
  }
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  std::array<char, 32> text{};
  (void)::gmtime_r(&time, &parts);
  (void)std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return text.data();
}

} // namespace vnvram::cli
