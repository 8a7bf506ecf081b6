// A device that can allocate what its image has no space of its own for.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "device/byte_range.h"
#include "vnvram/space.h"

namespace vnvram {

/// The other base of the devices that can.
class SpaceKeeper {
public:
  SpaceKeeper() = default;
  SpaceKeeper(const SpaceKeeper&) = delete;
  SpaceKeeper& operator=(const SpaceKeeper&) = delete;
  virtual ~SpaceKeeper() = default;

  void set_policy(SpacePolicy policy, std::function<void(const Error&)> warned) {
    policy_ = policy;
    warned_ = std::move(warned);
  }
  /// Does what the policy says, so that later writes into these ranges do not fail for space. Once
  /// for each device: what was reserved stays so. With the device's lock held.
  Status ensure_space(std::span<const ByteRange> ranges);
  /// The same for what an image is about to grow by, whatever was reserved before. What is there
  /// holds nothing.
  Status ensure_added_space(const ByteRange& range);

private:
  /// What is read does not change. Durable on return; free where nothing is missing. Errors:
  /// no_space, unsupported, io.
  virtual Status reserve_space(const ByteRange& range) = 0;
  /// Of a range that holds nothing, beside reads and commits elsewhere on the device, and in a
  /// process that may not open files any more.
  virtual Status reserve_added_space(const ByteRange& range) { return reserve_space(range); }
  [[nodiscard]] Status judge(const Status& reserved) const;

  SpacePolicy policy_ = SpacePolicy::reserve;
  std::function<void(const Error&)> warned_;
  bool done_ = false;
};

/// Of a device that is one; success for any other.
Status ensure_space(BlockDevice& device, std::span<const ByteRange> ranges);
/// Also of one behind devices that only pass on.
Status ensure_added_space(BlockDevice& device, const ByteRange& range);

} // namespace vnvram
