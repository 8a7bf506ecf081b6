#include "base/hex.h"

namespace vnvram {
namespace {

constexpr std::string_view digits = "0123456789abcdef";

// 16 for what is none.
unsigned value_of(char digit) {
  if (digit >= 'A' && digit <= 'F') {
    return static_cast<unsigned>(digit - 'A') + 10;
  }
  const std::size_t found = digits.find(digit);
  return found == std::string_view::npos ? 16 : static_cast<unsigned>(found);
}

} // namespace

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    text += digits[std::to_integer<unsigned>(byte) >> 4U];
    text += digits[std::to_integer<unsigned>(byte) & 15U];
  }
  return text;
}

std::optional<std::vector<std::byte>> parse_hex(std::string_view text) {
  if (text.size() % 2 != 0) {
    return std::nullopt;
  }
  std::vector<std::byte> bytes;
  for (std::size_t at = 0; at < text.size(); at += 2) {
    const unsigned high = value_of(text[at]);
    const unsigned low = value_of(text[at + 1]);
    if (high > 15 || low > 15) {
      return std::nullopt;
    }
    bytes.push_back(static_cast<std::byte>(high << 4U | low));
  }
  return bytes;
}

} // namespace vnvram
