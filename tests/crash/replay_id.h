// The name of one crash image, printed with a failure and taken by --replay: a scenario, a seed,
// and the point of each cut, outermost first, e.g. "mixed/7/142c13/9d2".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "support/crash_state.h"

namespace vnvram::test {

struct CutPoint {
  enum class Kind { power_cut, process_death };
  std::uint64_t operation = 0; ///< Of the disk that is cut.
  bool after = false;          ///< After it, not within it.
  Kind kind = Kind::power_cut;
  CutChoice choice;

  [[nodiscard]] std::string text() const;
};

struct ReplayId {
  std::string scenario;
  std::uint64_t seed = 0;
  std::vector<CutPoint> cuts;

  [[nodiscard]] std::string text() const;
  static std::optional<ReplayId> parse(const std::string& text);
};

} // namespace vnvram::test
