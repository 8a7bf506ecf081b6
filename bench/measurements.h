// What is measured, and how much of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/results.h"
#include "vnvram/block_device.h"

namespace vnvram::bench {

struct Amount {
  std::uint64_t counted_commits = 3000; ///< Of each kind, for the device's cost.
  std::uint64_t timed_commits = 2000;   ///< Of each kind.
  unsigned thread_rounds = 5;
  double thread_seconds = 1.0; ///< One round, with one thread, and again with many.
  unsigned openings = 21;
};

/// Device cost of each kind of commit, by counting. `checkpoints` gets what came on top.
[[nodiscard]] std::vector<CommitCost>
count_commits(const std::string& directory, const Amount& amount, CheckpointCost& checkpoints);
/// Of a whole blob's commits, on a device with an image of one blob for each form of them.
[[nodiscard]] CommitCost count_commits_on(std::unique_ptr<BlockDevice> device,
                                          const Amount& amount);
/// Every kind of commit and both forms of the floor in turn, so that noise hits all alike.
[[nodiscard]] LatencyResult time_commits(const std::string& directory, const Amount& amount);
/// A store on each NBD server, on a unix socket: what a commit costs, then commits and the floor in
/// turn.
[[nodiscard]] std::vector<NbdResult> measure_nbd(const std::string& directory,
                                                 const Amount& amount);
/// A store on RBD, in a cluster of one monitor and one OSD that is started for it: commits and a
/// write with its flush by librbd alone in turn, and openings.
[[nodiscard]] RbdResult measure_rbd(const Amount& amount);
/// What the look costs that each commit has at the superblocks: on a file, and on a block device if
/// one can be made (as root).
[[nodiscard]] std::vector<OwnerCheckResult> measure_owner_check(const std::string& directory,
                                                                const Amount& amount);
/// What it costs to anchor each commit before it is answered.
[[nodiscard]] std::vector<AnchorResult> measure_anchors(const std::string& directory,
                                                        const Amount& amount);
/// What encryption costs: commits and openings of a plain image and of an encrypted one in turn.
[[nodiscard]] EncryptionResult measure_encryption(const std::string& directory,
                                                  const Amount& amount);
/// Many threads that commit at once, alternating with one thread.
[[nodiscard]] ThreadResult time_threads(const std::string& directory, const Amount& amount);
/// Commits in an owner's process and through its socket in turn, then many sessions at once.
[[nodiscard]] RemoteResult measure_remote(const std::string& directory, const Amount& amount);
/// Opening a 4 MiB image whose ring is full, one that was closed, and one in a qcow2 image.
[[nodiscard]] OpeningResult time_opening(const std::string& directory, const Amount& amount);

} // namespace vnvram::bench
