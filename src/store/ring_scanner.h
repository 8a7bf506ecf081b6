// Reads the ring: which records count, and where they end.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "format/codec.h"
#include "format/geometry.h"
#include "format/record_view.h"
#include "format/superblock.h"
#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// Where the ring goes on: behind the newest record that counts.
struct RingPosition {
  std::uint32_t position = 0; ///< In blocks from the ring's start.
  std::uint32_t used_blocks =
      0;                      ///< Since the checkpoint, with what was left out at the ring's end.
  std::uint64_t sequence = 0; ///< Of the newest record: the generation.
  std::uint64_t chain = 0;    ///< Its checksum.
};

[[nodiscard]] RingPosition ring_start(const format::Superblock& superblock);

/// Where a record of so many blocks goes, and how much of the ring that takes up: at the beginning
/// if it does not fit before the end.
struct RingPlace {
  std::uint32_t position = 0;
  std::uint32_t cost_blocks = 0;
};
[[nodiscard]] RingPlace ring_place(const RingPosition& from, std::uint32_t block_count,
                                   std::uint32_t ring_block_count);

/// How much is read of a ring for headers that may lie. A made-up one could have a long, broken
/// record in every block: each byte is looked at a few times only.
class RecordBudget {
public:
  explicit RecordBudget(std::uint32_t ring_block_count)
      : blocks_left_(std::uint64_t{8} * ring_block_count) {}
  /// False: a record of so many blocks is not looked at.
  [[nodiscard]] bool take(std::uint32_t block_count) {
    if (block_count > blocks_left_) {
      return false;
    }
    blocks_left_ -= block_count;
    return true;
  }

private:
  std::uint64_t blocks_left_;
};

class RingScanner {
public:
  RingScanner(BlockDevice& device, const format::Superblock& superblock,
              const format::Codec& codec);

  /// Called for each record that counts, oldest first, with where the ring goes on behind it. An
  /// error ends the scan.
  using OnRecord = std::function<Status(const format::RecordView& record, std::uint32_t position,
                                        const RingPosition& behind)>;

  struct End {
    RingPosition behind;
    /// A whole record of this epoch lies behind the break: the ring is damaged in the middle, and
    /// the records up to it are not all that was acknowledged.
    bool damaged = false;
    /// With damaged: it is the only one, and nothing of this epoch is where the records before it
    /// should be. So looks a write that was on its way when the device's content was put back to
    /// an earlier state, and arrived afterwards.
    bool stray = false;
    std::uint32_t newer_position = 0; ///< With damaged: of the first such record.
    std::uint64_t newer_sequence = 0;
    /// The place where the next record should be has a header that would be the right one, but the
    /// record is not whole: a torn last commit that was never acknowledged, or damage to it.
    /// Nothing on the image can tell the two apart.
    bool torn = false;
    std::string reason; ///< For damaged and torn.
  };
  Result<End> scan(const OnRecord& on_record);

  /// Of one more record that counts.
  enum class Next { none, torn, whole };
  Result<Next> next_behind(const RingPosition& place);

private:
  struct Candidate {
    std::uint32_t position = 0;
    format::RecordView view;
  };
  /// Reads more than is asked for, but no more than `likely_count`.
  Result<std::span<const std::byte>> blocks(std::uint32_t position, std::uint32_t count,
                                            std::uint32_t likely_count);
  Result<std::span<const std::byte>> first_block();
  /// Of the ring, that the records from here on may take up.
  [[nodiscard]] std::uint32_t unused_blocks(const RingPosition& from) const;
  [[nodiscard]] bool is_of_this_epoch(const format::RecordHeader& header) const;
  Result<bool> record_at(const RingPosition& from, std::uint32_t position, Candidate& candidate,
                         End& end);
  Result<bool> next_record(Candidate& candidate, End& end);
  Status scan_to_the_break(const OnRecord& on_record, End& end);
  Status look_behind_the_break(End& end);
  [[nodiscard]] bool has_plausible_zeros(const format::RecordView& record) const;
  void count_extents(const format::RecordView& record);

  BlockDevice& device_;
  const format::Superblock superblock_;
  const format::Geometry geometry_;
  const format::Codec codec_;
  std::optional<AlignedBuffer> window_; // holds window_blocks_ blocks from window_position_ on
  std::optional<AlignedBuffer> first_block_;
  std::uint32_t window_position_ = 0;
  std::uint32_t window_blocks_ = 0;
  std::uint64_t zeros_bytes_ = 0; // of all records so far
  std::uint64_t payload_bytes_ = 0;
};

} // namespace vnvram
