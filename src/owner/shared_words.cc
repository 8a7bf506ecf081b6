#include "owner/shared_words.h"

#include <fmt/core.h>

#include "device/location.h"

namespace vnvram {

std::string let_go_words(const std::string& location, std::uint64_t generation) {
  return fmt::format("{} is let go at generation {}, sealed for its hand-over",
                     location_name(location), generation);
}

std::string came_words(const std::string& location, std::uint64_t generation) {
  return fmt::format("{} has come by its hand-over, generation {}", location_name(location),
                     generation);
}

std::string taken_back_words(const std::string& location, std::uint64_t generation) {
  return fmt::format("{} is taken back, generation {}", location_name(location), generation);
}

std::string gone_on_words(const std::string& location, std::uint64_t generation) {
  return fmt::format("{} has gone on elsewhere; generation {} was the last one here",
                     location_name(location), generation);
}

} // namespace vnvram
