// Cuts a store's disk at every operation, opens what is left, and compares it with what must be
// there.
//
// The store under test runs once. Before each operation of its disk that writes, the explorer makes
// the images that a power cut in the middle of that operation can leave (all of them when they are
// few, seeded samples when they are many), and what the death of the process can leave, and
// recovers each on a disk of its own. Some of those recoveries are explored in the same way, one
// level deeper: they are cut themselves, and so are the commits that follow them.
//
// What is checked of every image, by the numbers of the engine's invariants:
//   1, 2  it opens, and holds exactly one of the states from the last acknowledged one to the
//         newest submitted one; its generation is not older than the acknowledged one's
//   3     follows: such a state has all of a transaction or nothing
//   4     the same holds after a recovery that was cut
//   8     follows, too: each deferred write is submitted for itself, so every state is the one
//         behind a write and all before it
//   and check_image() finds no damage at all.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crash/replay_id.h"
#include "crash/store_state.h"
#include "device/memory_device.h"
#include "support/random.h"

namespace vnvram::test {

/// How much is tried. The numbers are of one operation of the disk.
struct ExplorerBudget {
  std::uint64_t exhaustive_limit = 256; ///< Up to so many images all are tried.
  std::uint64_t samples = 10;           ///< Otherwise so many of them,
  std::uint64_t torn_samples = 3;       ///< and so many with sectors torn inside.
  /// The process dies at one operation in so many, beside each first one behind a flush.
  std::uint64_t process_death_every = 6;
  unsigned depth = 1;            ///< How many cuts follow one another, beside the first.
  std::uint64_t deep_every = 40; ///< One image in so many is explored deeper.
};

/// What all levels of an exploration share.
struct ExplorerReport {
  std::uint64_t images = 0;
  std::uint64_t recoveries_cut = 0;
  std::string failure; ///< Empty: none. The first one only.
};

/// It has no locks of its own: while a store's own threads use the disk, no other thread may use
/// the explorer.
class CrashExplorer {
public:
  /// `id` names the run; if it has cuts, they alone are tried.
  CrashExplorer(std::shared_ptr<SimulatedDisk> disk, const ReplayId& id, ExplorerBudget budget,
                ExplorerReport& report, unsigned level = 0);
  ~CrashExplorer();
  CrashExplorer(const CrashExplorer&) = delete;
  CrashExplorer& operator=(const CrashExplorer&) = delete;

  /// What is durable from now on, at least; until the first call nothing is explored.
  void acknowledge(const StoreState& state, std::uint64_t generation);
  /// What may be there from now on: the states are in the order of their submission.
  void submit(const StoreState& state);
  /// Of those submitted, the first `count` are acknowledged.
  void acknowledge_submitted(std::size_t count, std::uint64_t generation);
  /// What was submitted last is refused.
  void withdraw();
  [[nodiscard]] const StoreState& newest() const { return acceptable_.back(); }
  [[nodiscard]] std::size_t unacknowledged() const { return acceptable_.size() - 1; }

  /// Tries the images of this moment, between two operations.
  void examine_now();
  /// Called after the images of an operation were tried and before it takes effect.
  void set_operation_hook(std::function<void(const SimulatedOperation&)> hook) {
    operation_hook_ = std::move(hook);
  }

  [[nodiscard]] bool failed() const { return !report_.failure.empty(); }

private:
  void examine(const SimulatedOperation* in_flight);
  void examine_all_choices(const CrashState& state, CutPoint point, bool process_dies);
  void try_power_cut(const CrashState& state, const CutPoint& point);
  void try_process_death(const CrashState& state, const CutPoint& point);
  /// Opens what is on the trial disk, compares, closes; `thoroughly`: checks it and opens it
  /// read-only, too. Empty: all is well.
  [[nodiscard]] std::string judge(bool thoroughly) const;
  std::string judge_content(Store& store) const;
  [[nodiscard]] std::string judge_check(bool after_close) const;
  /// Opens it, commits, checkpoints and closes, with every operation explored one level deeper.
  std::string live_on(const std::shared_ptr<SimulatedDisk>& disk, const CutPoint& point);
  [[nodiscard]] bool goes_deeper(const CutPoint& point) const;
  [[nodiscard]] bool replaying() const { return level_ < id_.cuts.size(); }
  void fail(const CutPoint& point, const std::string& what);

  std::shared_ptr<SimulatedDisk> disk_;
  std::shared_ptr<MemoryDisk> trial_; ///< The image that is judged.
  ReplayId id_;
  std::vector<CutPoint> path_; ///< The cuts of the levels above.
  ExplorerBudget budget_;
  ExplorerReport& report_;
  unsigned level_;
  std::vector<StoreState> acceptable_; ///< The acknowledged one, then those submitted since.
  std::uint64_t generation_min_ = 0;
  bool after_flush_ = false;
  std::function<void(const SimulatedOperation&)> operation_hook_;
};

/// Of the encrypted images that are explored.
[[nodiscard]] std::vector<std::byte> data_key();

/// Options that make a store deterministic, and open encrypted images, too.
[[nodiscard]] OpenOptions deterministic_options();

} // namespace vnvram::test
