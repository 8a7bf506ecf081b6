#include "keys/key_rotation.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "keys/key_holder.h"
#include "keys/key_slots.h"
#include "keys/slot_wrap.h"

namespace vnvram {

using format::KeySlot;
using format::KeySlots;
using format::KeyWrap;

namespace {

/// What the two data keys are, and who is asked for the holders' secrets.
struct Exchange {
  const KeyedImage& image;
  std::span<const std::byte> data_key;
  std::span<const std::byte> new_data_key;
  std::span<const KeySource> keys;
  std::span<const KeySource> at_hand;
  std::string name;

  [[nodiscard]] std::vector<KeySource> keys_for(const KeySlot& slot) const {
    std::vector<KeySource> all(keys.begin(), keys.end());
    std::ranges::copy_if(at_hand, std::back_inserter(all),
                         [&](const KeySource& key) { return KeyHolder::of(key).is_at_hand(slot); });
    return all;
  }
};

struct NewWrap {
  std::optional<KeyWrap> wrap; ///< Nothing, if nobody has given the slot's key.
  bool is_of_ours = false;     ///< One of the keys opens the slot.
};

Result<NewWrap> new_wrap_of(const KeySlot& slot, const Exchange& exchange) {
  const Status vouched = check_voucher(exchange.image.uuid, slot,
                                       *slot.wrap_of(exchange.image.key_id), exchange.data_key);
  if (!vouched) {
    return Error(vouched.error().kind(), vouched.error().cause(), "remove that slot: `key rm`");
  }
  const bool is_public = slot.kind == KeySlotKind::public_key;
  std::span<const std::byte> secret;
  std::optional<Error> trouble;
  bool is_of_ours = false;
  for (const KeySource& key : exchange.keys_for(slot)) {
    const Result<OpenedSlot> opened = try_key(key, exchange.image, slot, exchange.name);
    if (opened) {
      is_of_ours = true;
      secret = opened->secret;
      break;
    }
    if (opened.error().kind() != ErrorKind::wrong_key) {
      trouble = opened.error();
    }
  }
  if (!is_of_ours && !is_public) {
    return trouble ? Result<NewWrap>(*trouble) : NewWrap{};
  }
  const auto wrap =
      make_wrap(exchange.image.uuid, slot, is_public ? std::span<const std::byte>() : secret,
                exchange.new_data_key);
  return wrap ? Result<NewWrap>(NewWrap{.wrap = *wrap, .is_of_ours = is_of_ours}) : wrap.error();
}

/// Only the wraps of this data key, and only slots that have one.
KeySlots with_wraps_of(const format::KeyId& key_id, KeySlots slots) {
  for (KeySlot& slot : slots) {
    std::erase_if(slot.wraps, [&](const KeyWrap& wrap) { return wrap.key_id != key_id; });
  }
  std::erase_if(slots, [](const KeySlot& slot) { return slot.wraps.empty(); });
  return slots;
}

/// Left out, all of them, and by somebody who could not open the image afterwards.
Error own_slot_left_out(const std::string& name, const KeySlots& left_out) {
  return {ErrorKind::key_needed,
          fmt::format("{}: none of the keys that are given would open the image any more; without "
                      "their keys these are left out: {}",
                      name, slot_list(left_out)),
          "give a key of one of them, or start its owner again with that"};
}

Error keys_missing(const std::string& name, const KeySlots& left_out) {
  return {ErrorKind::key_needed,
          fmt::format("{}: without their keys these would not open the image any more: {}", name,
                      slot_list(left_out)),
          "give their keys as well, or remove the slots"};
}

} // namespace

// INV9d: before the new data key is used. INV9h: without what a cut has left behind.
Result<KeySlots> wrap_new_data_key(BlockDevice& device, const KeyedImage& image,
                                   std::span<const std::byte> data_key,
                                   std::span<const std::byte> new_data_key,
                                   std::span<const KeySource> keys, KeylessSlots keyless,
                                   std::span<const KeySource> at_hand,
                                   std::span<const unsigned> without) {
  Result<KeySlots> read = read_key_slots(device, image.uuid);
  if (!read) {
    return read;
  }
  const Exchange exchange{.image = image,
                          .data_key = data_key,
                          .new_data_key = new_data_key,
                          .keys = keys,
                          .at_hand = at_hand,
                          .name = device.name()};
  KeySlots slots = with_wraps_of(image.key_id, *std::move(read));
  KeySlots left_out;
  std::size_t shut_out_count = 0;
  bool opens_ours = false;
  for (KeySlot& slot : slots) {
    if (std::ranges::find(without, slot.number) != without.end()) {
      ++shut_out_count;
      continue;
    }
    const auto made = new_wrap_of(slot, exchange);
    if (!made) {
      return made.error();
    }
    opens_ours = opens_ours || made->is_of_ours;
    if (made->wrap) {
      slot.wraps.push_back(*made->wrap);
    } else {
      left_out.push_back(slot);
    }
  }
  if (left_out.size() + shut_out_count == slots.size() ||
      (keyless == KeylessSlots::refuse && !left_out.empty())) {
    return keys_missing(exchange.name, left_out);
  }
  if (!left_out.empty() && !opens_ours && shut_out_count == 0 &&
      !(keys.empty() && at_hand.empty())) {
    return own_slot_left_out(exchange.name, left_out);
  }
  const Status written = write_key_slots(device, image.uuid, slots);
  return written ? Result<KeySlots>(std::move(left_out)) : written.error();
}

Status drop_other_wraps(BlockDevice& device, const KeyedImage& image) {
  const Result<KeySlots> slots = read_key_slots(device, image.uuid);
  if (!slots) {
    return slots.error();
  }
  const KeySlots kept = with_wraps_of(image.key_id, *slots);
  if (kept.empty() && !slots->empty()) {
    return Error(
        ErrorKind::corrupt,
        fmt::format("{}: no key slot has the data key that the image names", device.name()));
  }
  return kept == *slots ? Status{} : write_key_slots(device, image.uuid, kept);
}

} // namespace vnvram
