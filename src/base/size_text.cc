#include "base/size_text.h"

#include <charconv>
#include <fmt/core.h>
#include <limits>

namespace vnvram {
namespace {

/// How far a suffix shifts, or -1 for one that is none.
int suffix_shift(std::string_view suffix) {
  if (suffix.empty()) {
    return 0;
  }
  if (suffix.size() > 1 && suffix.substr(1) != "iB") {
    return -1;
  }
  switch (suffix.front()) {
  case 'k':
  case 'K': return 10;
  case 'm':
  case 'M': return 20;
  case 'g':
  case 'G': return 30;
  default: return -1;
  }
}

} // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, number);
  const int shift = suffix_shift({rest, static_cast<std::size_t>(end - rest)});
  if (failure != std::errc() || shift < 0 ||
      number > std::numeric_limits<std::uint64_t>::max() >> static_cast<unsigned>(shift)) {
    return Error(ErrorKind::invalid_argument, fmt::format("'{}' is not a size", text),
                 "write a number of bytes, or a number with K, M or G (1024-fold)");
  }
  return number << static_cast<unsigned>(shift);
}

std::string format_size(std::uint64_t size_bytes) {
  constexpr std::uint64_t kib = 1024;
  if (size_bytes == 0 || size_bytes % kib != 0) {
    return fmt::format("{} byte{}", size_bytes, size_bytes == 1 ? "" : "s");
  }
  if (size_bytes % (kib * kib) != 0) {
    return fmt::format("{} KiB", size_bytes / kib);
  }
  if (size_bytes % (kib * kib * kib) != 0) {
    return fmt::format("{} MiB", size_bytes / (kib * kib));
  }
  return fmt::format("{} GiB", size_bytes / (kib * kib * kib));
}

std::string growth_text(std::uint64_t from_bytes, std::uint64_t to_bytes) {
  return fmt::format("grew from {} to {}, for blobs that found no room", format_size(from_bytes),
                     format_size(to_bytes));
}

} // namespace vnvram
