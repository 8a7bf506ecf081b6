#include "format/text_field.h"

#include <algorithm>
#include <cassert>

namespace vnvram::format {

bool is_word(std::string_view text, std::size_t size_max_bytes) {
  return !text.empty() && text.size() <= size_max_bytes &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  std::string_view("._/+@-").find(c) != std::string_view::npos;
         });
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

void put_text(TextField& field, std::string_view text) {
  assert(text.size() < field.size());
  field.fill('\0');
  std::copy(text.begin(), text.end(), field.begin());
}

std::optional<std::string> get_text(const TextField& field) {
  const auto end = std::find(field.begin(), field.end(), '\0');
  if (end == field.end() || std::any_of(end, field.end(), [](char c) { return c != '\0'; })) {
    return std::nullopt;
  }
  return std::string(field.begin(), end);
}

} // namespace vnvram::format
