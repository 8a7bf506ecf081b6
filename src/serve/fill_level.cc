#include "serve/fill_level.h"

#include <array>
#include <chrono>

#include <fmt/core.h>

namespace vnvram {
namespace {

constexpr double near_full = 0.9;
constexpr double clear_again = 0.8;

using Seconds = std::chrono::duration<double>;

std::string duration_text(Seconds duration) {
  struct Unit {
    double seconds;
    const char* name;
  };
  constexpr std::array<Unit, 3> units{Unit{172800, "days"}, Unit{7200, "hours"},
                                      Unit{120, "minutes"}};
  for (const Unit& unit : units) {
    if (duration.count() >= unit.seconds) {
      return fmt::format("{:.0f} {}", duration.count() / (unit.seconds / 2), unit.name);
    }
  }
  return fmt::format("{:.0f} seconds", duration.count());
}

} // namespace

std::optional<std::string> FillLevel::look(std::uint64_t used_bytes, std::uint64_t size_bytes,
                                           Clock::Time now) {
  if (size_bytes == 0) {
    return std::nullopt;
  }
  const double part = static_cast<double>(used_bytes) / static_cast<double>(size_bytes);
  const bool fell_clearly = said_ && part < clear_again;
  if (fell_clearly || used_bytes < from_bytes_) {
    said_ = said_ && !fell_clearly;
    from_bytes_ = used_bytes;
    from_ = now;
  }
  if (said_ || used_bytes == from_bytes_ || part < near_full) {
    return std::nullopt;
  }
  said_ = true;
  const std::uint64_t grown_bytes = used_bytes - from_bytes_;
  const Seconds duration = now - from_;
  const std::string growth =
      duration < std::chrono::seconds(1)
          ? fmt::format("grew by {} bytes at once", grown_bytes)
          : fmt::format("grew by {} bytes in {}", grown_bytes, duration_text(duration));
  if (used_bytes >= size_bytes) {
    return growth + ", and is full";
  }
  if (duration < std::chrono::seconds(1)) {
    return growth;
  }
  const double growths = static_cast<double>(size_bytes - used_bytes) /
                         static_cast<double>(grown_bytes); // That fit what is left.
  return fmt::format("{}: if it goes on so, full in {}", growth, duration_text(duration * growths));
}

} // namespace vnvram
