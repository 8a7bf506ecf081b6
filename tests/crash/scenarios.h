// The runs that the crash tests explore, by name, so that a replay id can name them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "crash/workload.h"

namespace vnvram::test {

struct Scenario {
  std::string name;
  WorkloadOptions options;
};

[[nodiscard]] const std::vector<Scenario>& scenarios();

/// Runs it, prints how many images were tried, and returns the failure; empty: none.
[[nodiscard]] std::string run_scenario(const ReplayId& id, ExplorerReport* details = nullptr);

} // namespace vnvram::test
