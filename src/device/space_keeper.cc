#include "device/space_keeper.h"

#include <utility>

#include <fmt/core.h>

#include "device/forwarding_device.h"

namespace vnvram {

Status SpaceKeeper::ensure_space(std::span<const ByteRange> ranges) {
  if (done_ || policy_ == SpacePolicy::ignore) {
    return {};
  }
  Status reserved;
  for (auto range = ranges.begin(); reserved && range != ranges.end(); ++range) {
    reserved = reserve_space(*range);
  }
  const Status judged = judge(reserved);
  done_ = judged.ok();
  return judged;
}

Status SpaceKeeper::ensure_added_space(const ByteRange& range) {
  return policy_ == SpacePolicy::ignore ? Status{} : judge(reserve_added_space(range));
}

Status SpaceKeeper::judge(const Status& reserved) const {
  if (!reserved && policy_ == SpacePolicy::reserve) {
    return reserved;
  }
  if (!reserved && warned_) {
    warned_(reserved.error());
  }
  return {};
}

Status ensure_space(BlockDevice& device, std::span<const ByteRange> ranges) {
  auto* const keeper = dynamic_cast<SpaceKeeper*>(&device);
  return keeper == nullptr ? Status{} : keeper->ensure_space(ranges);
}

Status ensure_added_space(BlockDevice& device, const ByteRange& range) {
  if (auto* const keeper = dynamic_cast<SpaceKeeper*>(&device)) {
    return keeper->ensure_added_space(range);
  }
  auto* const forwarding = dynamic_cast<ForwardingDevice*>(&device);
  return forwarding == nullptr ? Status{} : ensure_added_space(forwarding->target(), range);
}

void set_space_policy(BlockDevice& device, SpacePolicy policy,
                      std::function<void(const Error&)> warned) {
  if (auto* const keeper = dynamic_cast<SpaceKeeper*>(&device)) {
    keeper->set_policy(policy, std::move(warned));
  }
}

Result<SpacePolicy> parse_space_policy(std::string_view text) {
  if (text == "reserve") {
    return SpacePolicy::reserve;
  }
  if (text == "warn") {
    return SpacePolicy::warn;
  }
  if (text == "ignore") {
    return SpacePolicy::ignore;
  }
  return Error(ErrorKind::invalid_argument,
               fmt::format("'{}' is not what to do about space that is missing", text),
               "reserve, warn or ignore");
}

} // namespace vnvram
