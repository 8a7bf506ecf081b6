// The runs that the crash tests explore, by name, so that a replay id can name them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "crash/crash_explorer.h"
#include "crash/workload_options.h"

namespace vnvram::test {

struct Scenario {
  enum class Kind {
    local,  ///< Workload
    served, ///< ServedWorkload
    shared, ///< SharedWorkload
  };
  std::string name;
  WorkloadOptions options;
  Kind kind = Kind::local;
};

[[nodiscard]] const std::vector<Scenario>& scenarios();

/// Runs it, prints how many images were tried, and returns the failure; empty: none.
[[nodiscard]] std::string run_scenario(const ReplayId& id, ExplorerReport* details = nullptr);

} // namespace vnvram::test
