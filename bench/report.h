// The results for people and for programs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/environment.h"
#include "bench/results.h"

namespace vnvram::bench {

struct Report {
  bool quick = false; ///< Counted enough, timed too little.
  Environment environment;
  std::vector<CommitCost> costs;
  CheckpointCost checkpoints;
  LatencyResult latency;
  std::vector<NbdResult> nbd;
  std::optional<RbdResult> rbd; ///< If it was asked for.
  std::vector<OwnerCheckResult> owner_check;
  std::vector<AnchorResult> anchors;
  EncryptionResult encryption;
  ThreadResult threads;
  RemoteResult remote;
  OpeningResult opening;
};

[[nodiscard]] std::string as_text(const Report& report);
[[nodiscard]] std::string as_json(const Report& report);

/// What costs more than it may, in writes, bytes and flushes; empty: nothing. Times are not judged.
[[nodiscard]] std::string excess(const Report& report);

} // namespace vnvram::bench
