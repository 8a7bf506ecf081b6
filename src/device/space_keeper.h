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

private:
  /// What is read does not change. Durable on return; free where nothing is missing. Errors:
  /// no_space, unsupported, io.
  virtual Status reserve_space(const ByteRange& range) = 0;

  SpacePolicy policy_ = SpacePolicy::reserve;
  std::function<void(const Error&)> warned_;
  bool done_ = false;
};

/// Of a device that is one; success for any other.
Status ensure_space(BlockDevice& device, std::span<const ByteRange> ranges);

} // namespace vnvram
