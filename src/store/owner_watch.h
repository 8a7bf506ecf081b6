// Whether an image is still its owner's: what the superblocks on the device say, against what the
// owner has last made them say.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <string_view>

#include "base/clock.h"
#include "format/superblock.h"
#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// What no lock sees (a file and a loop device over it, a volume on two hosts, a second client of
/// an NBD server, someone who copies a backup over an open image) the superblocks show.
///
/// Threads: all calls but the constructor may come from any.
class OwnerWatch {
public:
  using SuperblockBytes = std::array<std::byte, format::superblock_count * block_size_bytes>;

  /// When a commit asks whether the image is still ours.
  enum class Timing {
    before_commit, ///< Nothing is written if it is not.
    with_commit,   ///< At the same time: nothing is acknowledged if it is not.
  };

  /// Both outlive it.
  OwnerWatch(BlockDevice& device, Clock& clock);

  [[nodiscard]] Timing timing() const { return timing_; }
  /// Whether a commit looks before it writes: always, or because the last look is so long ago that
  /// another owner could have come since and be half a ring further, where the record would be put
  /// over one of its own.
  [[nodiscard]] bool looks_first() const;

  /// Our epoch is on the device. An owner that was overtaken by it may still write one record with
  /// its look, for as long as its last one is recent: behind where we found the ring's end.
  void epoch_begins() { epoch_began_ = clock_.now(); }
  /// Returns when no such record can come any more. Called before a record that goes beyond the
  /// first half of the ring from our opening on, and so to where one may land.
  void wait_for_overtaken() const;

  /// Reads the superblocks and judges them. `own`: the newest superblock that the caller knows to
  /// be on the device, taken before the call. Errors: in_use (another owner), stale (the content
  /// was replaced); io, the device's own.
  Status look(const format::Superblock& own, std::string_view remedy);
  /// For who opens it: the current superblock is the very one that it was recovered from, or has
  /// written itself since. Else in_use, too: its owner goes on.
  Status look_for_same(const format::Superblock& own, std::string_view remedy);
  /// The same as look() with a record under way: both have to succeed. `looked`: whether it is not
  /// the device that has failed, but the judgement.
  Status look_and_write(const format::Superblock& own, std::string_view remedy,
                        std::uint64_t offset_bytes, std::span<const std::byte> record,
                        bool& looked);

private:
  [[nodiscard]] Status judge(const SuperblockBytes& bytes, const format::Superblock& own,
                             std::string_view remedy) const;

  BlockDevice& device_;
  const Timing timing_;
  const bool is_fenced_; ///< No write of an overtaken owner gets through, for an hour.
  const Clock::Duration recent_max_;
  Clock& clock_;
  Clock::Time epoch_began_{}; ///< Fixed once the store is open.
  std::atomic<Clock::Time> last_look_{Clock::Time::min()};
};

} // namespace vnvram
