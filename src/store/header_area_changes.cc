#include "store/header_area_changes.h"

#include <span>

#include <fmt/core.h>

#include "base/secret_bytes.h"
#include "keys/key_offer_state.h"
#include "keys/key_ring_state.h"
#include "keys/key_slots.h"
#include "store/header_area_device.h"
#include "vnvram/public_metadata.h"

namespace vnvram {

Status HeaderAreaChanges::may_change() {
  const Status refused = state_.refuse_any_write();
  return refused ? owner_.look() : refused;
}

Result<KeyedImage> HeaderAreaChanges::image() {
  if (!state_.codec.seals()) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("{}: the image is not encrypted", state_.device->name()),
                 "it has no keys");
  }
  if (const Status may = may_change(); !may) {
    return may.error();
  }
  const std::lock_guard lock(state_.mutex);
  return KeyedImage{.uuid = state_.superblock.uuid, .key_id = state_.superblock.key_id};
}

template <typename Change>
Result<KeySlotInfo> HeaderAreaChanges::with_data_key(const Change& change) {
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
  HeaderAreaDevice device(state_, owner_);
  const Result<format::KeySlot> made = change(device, *keyed, data_key->get());
  const Status done = device.ended(made ? Status() : made.error());
  return done ? Result<KeySlotInfo>(key_slot_info(*made, *keyed)) : done.error();
}

Status HeaderAreaChanges::check_slot(std::optional<unsigned> number) {
  const Result<KeyedImage> keyed = image();
  return keyed ? check_place(*state_.device, *keyed, number) : Status(keyed.error());
}

Result<KeySlotInfo> HeaderAreaChanges::add(const KeySlotOffer& offer,
                                           const KeyOfferReceiver& receiver) {
  return with_data_key(
      [&](BlockDevice& device, const KeyedImage& keyed, std::span<const std::byte> data_key) {
        return add_slot(device, keyed, data_key, [&] { return plan_of_offer(offer, receiver); });
      });
}

Result<KeySlotInfo> HeaderAreaChanges::change(unsigned number, const KeySlotOffer& offer,
                                              const KeyOfferReceiver& receiver) {
  return with_data_key(
      [&](BlockDevice& device, const KeyedImage& keyed, std::span<const std::byte> data_key) {
        return change_slot(device, keyed, data_key, number,
                           [&] { return plan_of_offer(offer, receiver); });
      });
}

Status HeaderAreaChanges::remove(unsigned number, bool allow_last) {
  const Result<KeyedImage> keyed = image();
  HeaderAreaDevice device(state_, owner_);
  return keyed ? device.ended(remove_slot(device, *keyed, number, allow_last))
               : Status(keyed.error());
}

Status HeaderAreaChanges::set_metadata(std::string_view name,
                                       const std::optional<std::string>& value) {
  if (const Status may = may_change(); !may) {
    return may;
  }
  HeaderAreaDevice device(state_, owner_);
  return device.ended(value ? set_public_metadata_locked(device, name, *value)
                            : remove_public_metadata_locked(device, name));
}

} // namespace vnvram
