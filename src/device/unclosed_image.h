// An image that its last owner has not closed: whether that one may be about to write to it still.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// Who opened an image for writing last. `pid`: 0 when that one has closed it.
struct LastOwner {
  std::uint64_t pid = 0;
  std::string_view host;
};

/// Whether it may be open on another host as far as anybody can see here.
[[nodiscard]] bool may_be_open_elsewhere(const DeviceCapabilities& can, const LastOwner& owner);

/// Why such an image is not opened for writing without a word: in_use. `name`: of the device.
[[nodiscard]] Error open_elsewhere(const std::string& name, const LastOwner& owner);

} // namespace vnvram
