#include "vnvram/key_ring.h"

#include <fmt/core.h>

#include "keys/key_ring_state.h"

namespace vnvram {

KeyRing::KeyRing() : state_(std::make_shared<KeyRingState>()) {}

KeyRing KeyRing::of_data_key(std::span<const std::byte> data_key) {
  KeyRing ring;
  ring.state_->data_keys.emplace_back(data_key);
  return ring;
}

bool KeyRing::empty() const {
  const std::lock_guard lock(state_->mutex);
  return state_->data_keys.empty();
}

Result<std::shared_ptr<const format::ImageKeys>>
find_image_keys(BlockDevice& device, const format::Superblock& superblock, const KeyRing& ring) {
  KeyRingState& state = ring.state();
  const std::lock_guard lock(state.mutex);
  if (const auto known = state.image_keys.find(superblock.key_id);
      known != state.image_keys.end()) {
    return known->second;
  }
  for (const SecretBytes& data_key : state.data_keys) {
    auto keys = format::ImageKeys::derive(data_key.get(), superblock.uuid);
    if (!keys) {
      return keys;
    }
    if ((*keys)->id() == superblock.key_id) {
      state.image_keys.emplace(superblock.key_id, *keys);
      return keys;
    }
  }
  return state.data_keys.empty()
             ? Error{ErrorKind::key_needed,
                     fmt::format("{}: the image is encrypted", device.name()),
                     "give one of its keys"}
             : Error{ErrorKind::wrong_key,
                     fmt::format("{}: the image is encrypted, with another key", device.name())};
}

} // namespace vnvram
