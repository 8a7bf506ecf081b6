#include "store/key_slot_changes.h"

#include <span>

#include <fmt/core.h>

#include "base/secret_bytes.h"
#include "keys/key_offer_state.h"
#include "keys/key_ring_state.h"
#include "keys/key_slots.h"

namespace vnvram {

Result<KeyedImage> KeySlotChanges::image() {
  if (const Status refused = state_.refuse_any_write(); !refused) {
    return refused.error();
  }
  if (!state_.codec.seals()) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("{}: the image is not encrypted", state_.device->name()),
                 "it has no keys");
  }
  if (const Status ours = owner_.look(); !ours) {
    return ours.error();
  }
  const std::lock_guard lock(state_.mutex);
  return KeyedImage{.uuid = state_.superblock.uuid, .key_id = state_.superblock.key_id};
}

template <typename Change> Result<KeySlotInfo> KeySlotChanges::with_data_key(const Change& change) {
  const Result<KeyedImage> keyed = image();
  if (!keyed) {
    return keyed.error();
  }
  format::Superblock superblock{};
  superblock.uuid = keyed->uuid;
  superblock.key_id = keyed->key_id;
  // The ring knows it, whether or not the slot is still there that it was found in.
  const Result<SecretBytes> data_key =
      find_data_key(*state_.device, superblock, state_.options.keys);
  if (!data_key) {
    return data_key.error();
  }
  const Result<format::KeySlot> made = change(*keyed, data_key->get());
  return made ? Result<KeySlotInfo>(key_slot_info(*made, *keyed)) : made.error();
}

Result<KeySlotInfo> KeySlotChanges::add(const KeySlotOffer& offer,
                                        const KeyOfferReceiver& receiver) {
  return with_data_key([&](const KeyedImage& keyed, std::span<const std::byte> data_key) {
    return add_slot(*state_.device, keyed, data_key,
                    [&] { return plan_of_offer(offer, receiver); });
  });
}

Result<KeySlotInfo> KeySlotChanges::change(unsigned number, const KeySlotOffer& offer,
                                           const KeyOfferReceiver& receiver) {
  return with_data_key([&](const KeyedImage& keyed, std::span<const std::byte> data_key) {
    return change_slot(*state_.device, keyed, data_key, number,
                       [&] { return plan_of_offer(offer, receiver); });
  });
}

Status KeySlotChanges::remove(unsigned number, bool allow_last) {
  const Result<KeyedImage> keyed = image();
  return keyed ? remove_slot(*state_.device, *keyed, number, allow_last) : Status(keyed.error());
}

} // namespace vnvram
