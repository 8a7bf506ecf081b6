// What becomes of an image that two hosts see, as the log of who had it or has it now says it.
#pragma once

#include <cstdint>
#include <string>

namespace vnvram {

using SharedWords = std::string (*)(const std::string& location, std::uint64_t generation);

[[nodiscard]] std::string let_go_words(const std::string& location, std::uint64_t generation);
[[nodiscard]] std::string came_words(const std::string& location, std::uint64_t generation);
[[nodiscard]] std::string taken_back_words(const std::string& location, std::uint64_t generation);
/// `generation`: the last one that was here.
[[nodiscard]] std::string gone_on_words(const std::string& location, std::uint64_t generation);

} // namespace vnvram
