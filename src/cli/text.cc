#include "cli/text.h"

#include <algorithm>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/hex.h"

namespace vnvram::cli {

std::string printable(std::string_view text) {
  std::string result;
  for (const char character : text) {
    if (character >= ' ' && character <= '~') {
      result += character;
    } else {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(character));
    }
  }
  return result;
}

nlohmann::ordered_json attributes_json(const std::vector<Attribute>& attributes) {
  nlohmann::ordered_json result = nlohmann::ordered_json::array();
  for (const Attribute& attribute : attributes) {
    result.push_back({{"name", attribute.name},
                      {"value", attribute.value},
                      {"value_hex", hex(std::as_bytes(std::span(attribute.value)))},
                      {"must_know", attribute.must_know}});
  }
  return result;
}

std::string table(const std::vector<std::vector<std::string>>& lines,
                  const std::vector<bool>& right) {
  std::vector<std::size_t> widths(right.size(), 0);
  for (const auto& line : lines) {
    for (std::size_t column = 0; column < line.size(); ++column) {
      widths[column] = std::max(widths[column], line[column].size());
    }
  }
  std::string result;
  for (const auto& line : lines) {
    std::string text;
    for (std::size_t column = 0; column < line.size(); ++column) {
      text += right[column] ? fmt::format("{:>{}}", line[column], widths[column])
                            : fmt::format("{:<{}}", line[column], widths[column]);
      text += "  ";
    }
    text.erase(text.find_last_not_of(' ') + 1);
    result += text + '\n';
  }
  return result;
}

} // namespace vnvram::cli
