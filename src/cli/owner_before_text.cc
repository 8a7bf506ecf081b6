#include "cli/owner_before_text.h"

#include <charconv>
#include <system_error>

namespace vnvram::cli {
namespace {

template <typename Number> bool take_number(std::string_view& text, Number& number) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
  return parsed.ec == std::errc();
}

bool take_separator(std::string_view& text, char separator) {
  const bool is_there = text.starts_with(separator);
  text.remove_prefix(is_there ? 1 : 0);
  return is_there;
}

} // namespace

std::optional<OwnerBefore> owner_before_of(std::string_view text) {
  OwnerBefore before;
  if (!take_number(text, before.epoch) || !take_separator(text, ':')) {
    return std::nullopt;
  }
  while (!text.empty()) {
    std::uint32_t pid = 0;
    if (!take_number(text, pid) || (!take_separator(text, ',') && !text.empty())) {
      return std::nullopt;
    }
    before.pids.push_back(pid);
  }
  return before;
}

} // namespace vnvram::cli
