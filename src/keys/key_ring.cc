#include "vnvram/key_ring.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "keys/data_key.h"
#include "keys/key_holder.h"
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

void KeyRing::read_ahead() {
  const std::lock_guard lock(state_->mutex);
  for (const KeySource& source : state_->sources) {
    KeyHolder::of(source).read_ahead();
  }
}

void KeyRing::run_no_more_commands() {
  const std::lock_guard lock(state_->mutex);
  for (const KeySource& source : state_->sources) {
    KeyHolder::of(source).run_no_more_commands();
  }
}

void KeyRing::accept_plain() {
  const std::lock_guard lock(state_->mutex);
  state_->accepts_plain = true;
}

bool KeyRing::empty() const {
  const std::lock_guard lock(state_->mutex);
  return state_->data_keys.empty() && state_->sources.empty();
}

Status check_plain(const BlockDevice& device, const KeyRing& ring) {
  const bool has_keys = !ring.empty();
  const KeyRingState& state = ring.state();
  return !has_keys || state.accepts_plain
             ? Status{}
             : Error{ErrorKind::wrong_key,
                     fmt::format("{}: a key was given, and the image is not encrypted",
                                 device.name()),
                     "somebody may have put it in an encrypted one's place; if it is the right "
                     "one, leave out the key"};
}

Result<SecretBytes> find_data_key(BlockDevice& device, const format::Superblock& superblock,
                                  const KeyRing& ring) {
  const KeyedImage image{superblock.uuid, superblock.key_id};
  KeyRingState& state = ring.state();
  const std::lock_guard lock(state.mutex);
  for (const SecretBytes& data_key : state.data_keys) {
    const auto id = key_id_of(image.uuid, data_key.get());
    if (!id) {
      return id.error();
    }
    if (*id == image.key_id) {
      return SecretBytes(std::span<const std::byte>(data_key.get()));
    }
  }
  if (state.sources.empty() && !state.data_keys.empty()) {
    return Error{ErrorKind::wrong_key,
                 fmt::format("{}: the image is encrypted, with another data key", device.name())};
  }
  Result<SecretBytes> found = find_data_key(device, image, state.sources);
  const bool has_no_slots = !found && found.error().kind() == ErrorKind::wrong_key;
  return state.sources.empty() && has_no_slots
             ? Error{ErrorKind::key_needed, found.error().cause(), found.error().remedy()}
             : std::move(found);
}

void remember_image_keys(const KeyRing& ring, std::span<const std::byte> data_key,
                         std::shared_ptr<const format::ImageKeys> keys) {
  KeyRingState& state = ring.state();
  const std::lock_guard lock(state.mutex);
  const format::KeyId id = keys->id();
  state.image_keys.insert_or_assign(id, std::move(keys));
  const bool is_known = std::ranges::any_of(state.data_keys, [&](const SecretBytes& known) {
    return std::ranges::equal(known.get(), data_key);
  });
  if (!is_known) {
    state.data_keys.emplace_back(data_key).lock();
  }
}

void forget_data_key(const KeyRing& ring, const KeyedImage& image) {
  KeyRingState& state = ring.state();
  const std::lock_guard lock(state.mutex);
  if (state.sources.empty()) {
    return;
  }
  state.image_keys.erase(image.key_id);
  std::erase_if(state.data_keys, [&](const SecretBytes& data_key) {
    const auto id = key_id_of(image.uuid, data_key.get());
    return id.ok() && *id == image.key_id;
  });
}

Result<std::shared_ptr<const format::ImageKeys>>
find_image_keys(BlockDevice& device, const format::Superblock& superblock, const KeyRing& ring) {
  KeyRingState& state = ring.state();
  {
    const std::lock_guard lock(state.mutex);
    const auto known = state.image_keys.find(superblock.key_id);
    if (known != state.image_keys.end()) {
      return known->second;
    }
  }
  const Result<SecretBytes> data_key = find_data_key(device, superblock, ring);
  auto keys = data_key ? format::ImageKeys::derive(data_key->get(), superblock.uuid)
                       : Result<std::shared_ptr<const format::ImageKeys>>(data_key.error());
  if (keys) {
    remember_image_keys(ring, data_key->get(), *keys);
  }
  return keys;
}

} // namespace vnvram
