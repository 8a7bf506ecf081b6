// Takes a fuzzer's bytes apart. An input that has run out gives zeros, so every input means
// something.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace vnvram::fuzz {

class FuzzInput {
public:
  FuzzInput(const std::uint8_t* data, std::size_t size_bytes)
      : rest_(std::as_bytes(std::span(data, size_bytes))) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  std::uint8_t byte() { return static_cast<std::uint8_t>(number(1)); }
  std::uint16_t word() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t number32() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t number64() { return number(8); }
  /// 0 to limit - 1, of one byte.
  std::size_t below(std::size_t limit) { return byte() % limit; }
  /// Fewer at the input's end.
  std::span<const std::byte> bytes(std::size_t count) {
    const auto taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

private:
  std::uint64_t number(std::size_t count) {
    std::uint64_t value = 0;
    unsigned shift = 0;
    for (const std::byte byte : bytes(count)) {
      value |= std::to_integer<std::uint64_t>(byte) << shift;
      shift += 8;
    }
    return value;
  }

  std::span<const std::byte> rest_;
};

} // namespace vnvram::fuzz
