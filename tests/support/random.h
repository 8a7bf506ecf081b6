// A small generator whose numbers are the same everywhere, so that a seed names a run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace vnvram::test {

class Random {
public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  /// 0 to limit - 1. (The library's distributions differ between implementations.)
  std::uint64_t below(std::uint64_t limit) { return engine_() % limit; }
  std::vector<std::byte> bytes(std::size_t count) {
    std::vector<std::byte> result(count);
    for (std::byte& byte : result) {
      byte = static_cast<std::byte>(engine_() & 0xFFU);
    }
    return result;
  }

private:
  std::mt19937_64 engine_;
};

} // namespace vnvram::test
