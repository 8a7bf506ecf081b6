#include "base/uuid.h"

#include <algorithm>

#include "base/hex.h"

namespace vnvram {
namespace {

// Where a hyphen stands in the text.
constexpr std::array<std::size_t, 4> hyphens = {8, 13, 18, 23};

} // namespace

std::string uuid_text(std::span<const std::byte, 16> uuid) {
  std::string text = hex(uuid);
  for (const std::size_t position : hyphens) {
    text.insert(position, "-");
  }
  return text;
}

std::optional<Uuid> parse_uuid(std::string_view text) {
  std::string digits;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool hyphen = std::ranges::find(hyphens, at) != hyphens.end();
    if (hyphen != (text[at] == '-')) {
      return std::nullopt;
    }
    if (!hyphen) {
      digits += text[at];
    }
  }
  const auto bytes = parse_hex(digits);
  Uuid uuid{};
  if (!bytes || bytes->size() != uuid.size()) {
    return std::nullopt;
  }
  std::ranges::copy(*bytes, uuid.begin());
  return uuid;
}

} // namespace vnvram
