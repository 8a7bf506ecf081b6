// Everything that a SimulatedDisk may hold when it stops at one moment (the model is in
// simulated_device.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "support/simulated_device.h"

namespace vnvram::test {

/// One of the possible images, by number: below choice_count() they are all different when they can
/// be counted, and seeded samples otherwise, where 0 loses all that is pending and 1 keeps it all.
struct CutChoice {
  std::uint64_t number = 0;
  bool torn = false; ///< Sectors tear inside as well; then `number` seeds a sample.
  [[nodiscard]] std::string text() const { return std::to_string(number) + (torn ? "t" : ""); }
};

class CrashState {
public:
  /// The disk as it is, and the operation that has begun, if any. It copies what is pending, and
  /// refers to the disk's durable part: use it before the disk goes on.
  CrashState(const SimulatedDisk& disk, const SimulatedOperation* in_flight);

  /// How many different images there can be; 0 when they are more than `limit`.
  [[nodiscard]] std::uint64_t choice_count(std::uint64_t limit) const;
  [[nodiscard]] bool nothing_pending() const { return pending_.empty(); }

  /// What the next opener finds after a power cut. `exhaustive_limit`: the `limit` of
  /// choice_count().
  [[nodiscard]] std::vector<std::byte> power_cut(CutChoice choice,
                                                 std::uint64_t exhaustive_limit) const;
  /// The same into a buffer that is used again: fresh memory for each image is what would cost
  /// most.
  void power_cut(CutChoice choice, std::uint64_t exhaustive_limit,
                 std::vector<std::byte>& image) const;
  /// What the next opener finds after the process has died: what is pending is still pending, and
  /// of the operation in flight some sectors have happened.
  [[nodiscard]] std::shared_ptr<SimulatedDisk> process_death(std::uint64_t seed) const;

private:
  [[nodiscard]] bool is_in_flight(std::uint64_t sector) const; ///< Of one in pending_.

  const std::vector<std::byte>& durable_;
  std::uint64_t size_after_bytes_;
  PendingSectors before_;  ///< Without the operation in flight.
  PendingSectors pending_; ///< With it.
};

} // namespace vnvram::test
