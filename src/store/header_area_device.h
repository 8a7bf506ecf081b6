// The device as who changes the header area of an open image writes to it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "device/forwarding_device.h"
#include "store/owner_check.h"
#include "store/shared_state.h"

namespace vnvram {

/// For one change: looks directly before each write whether the image is still ours, and knows
/// whether one has failed.
class HeaderAreaDevice final : public ForwardingDevice {
public:
  HeaderAreaDevice(SharedState& state, OwnerCheck& owner)
      : ForwardingDevice(static_cast<BlockDevice&>(*state.device)), state_(state), owner_(owner) {}

  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override;
  Status flush() override { return note(ForwardingDevice::flush()); }

  /// What is answered for a change that came to `done`. A write or flush that failed may have lost
  /// what others have written, too: the store is poisoned then, `during` that.
  Status ended(const Status& done, std::string_view during = "a change of the header area");

private:
  Status note(Status done);

  SharedState& state_;
  OwnerCheck& owner_;
  std::optional<Error> failure_;
};

} // namespace vnvram
