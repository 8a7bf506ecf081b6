#include "vnvram/key_ring.h"

#include <utility>

#include <fmt/core.h>

#include "keys/key_ring_state.h"
#include "keys/key_slots.h"
#include "keys/keyed_image.h"

namespace vnvram {

KeyRing::KeyRing() : state_(std::make_shared<KeyRingState>()) {}

KeyRing::KeyRing(std::vector<KeySource> sources) : KeyRing() {
  state_->sources = std::move(sources);
}

void KeyRing::add(KeySource source) {
  const std::lock_guard lock(state_->mutex);
  state_->sources.push_back(std::move(source));
}

KeyRing KeyRing::of_data_key(std::span<const std::byte> data_key) {
  KeyRing ring;
  ring.state_->data_keys.emplace_back(data_key);
  return ring;
}

bool KeyRing::empty() const {
  const std::lock_guard lock(state_->mutex);
  return state_->data_keys.empty() && state_->sources.empty();
}

namespace {

/// The data key that the image's superblock names, from those that are given whole, or from a slot.
Result<std::shared_ptr<const format::ImageKeys>>
look_for_keys(BlockDevice& device, const KeyedImage& image, const KeyRingState& ring) {
  for (const SecretBytes& data_key : ring.data_keys) {
    auto keys = format::ImageKeys::derive(data_key.get(), image.uuid);
    if (!keys || (*keys)->id() == image.key_id) {
      return keys;
    }
  }
  if (ring.sources.empty() && !ring.data_keys.empty()) {
    return Error{ErrorKind::wrong_key,
                 fmt::format("{}: the image is encrypted, with another data key", device.name())};
  }
  const Result<SecretBytes> found = find_data_key(device, image, ring.sources);
  return found ? format::ImageKeys::derive(found->get(), image.uuid) : found.error();
}

} // namespace

Result<std::shared_ptr<const format::ImageKeys>>
find_image_keys(BlockDevice& device, const format::Superblock& superblock, const KeyRing& ring) {
  KeyRingState& state = ring.state();
  const std::lock_guard lock(state.mutex);
  const auto known = state.image_keys.find(superblock.key_id);
  if (known != state.image_keys.end()) {
    return known->second;
  }
  auto keys = look_for_keys(device, {superblock.uuid, superblock.key_id}, state);
  if (keys) {
    state.image_keys.emplace(superblock.key_id, *keys);
  }
  return keys;
}

} // namespace vnvram
