// What the public header offers on key slots, each as one change of the image.
#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "keys/device_lock.h"
#include "keys/key_eraser.h"
#include "keys/key_slots.h"
#include "keys/keyed_image.h"
#include "vnvram/key.h"

namespace vnvram {

using format::KeySlot;

namespace {

/// The image whose slots are to be changed, under the lock.
Result<KeyedImage> image_to_change(BlockDevice& device) {
  const Result<KeyedImage> image = read_keyed_image(device);
  if (!image) {
    return image;
  }
  const Status whole = check_no_exchange(device);
  return whole ? image : whole.error();
}

/// Opens the image with these keys and has `change` make a slot, under the lock.
template <typename Change>
Result<KeySlotInfo> with_data_key(BlockDevice& device, std::span<const KeySource> keys,
                                  const Change& change) {
  DeviceLock lock(device);
  if (const Status locked = lock.take(); !locked) {
    return locked.error();
  }
  const Result<KeyedImage> image = image_to_change(device);
  if (!image) {
    return image.error();
  }
  const Result<SecretBytes> data_key = find_data_key(device, *image, keys);
  if (!data_key) {
    return data_key.error();
  }
  const Result<KeySlot> made = change(*image, data_key->get());
  return made ? Result<KeySlotInfo>(key_slot_info(*made, *image)) : made.error();
}

} // namespace

Result<std::vector<KeySlotInfo>> list_key_slots(BlockDevice& device) {
  const Result<KeyedImage> image = read_keyed_image(device);
  if (!image) {
    return image.error();
  }
  const Result<format::KeySlots> slots = read_key_slots(device, image->uuid);
  if (!slots) {
    return slots.error();
  }
  std::vector<KeySlotInfo> list;
  std::ranges::transform(*slots, std::back_inserter(list),
                         [&](const KeySlot& slot) { return key_slot_info(slot, *image); });
  return list;
}

Result<KeySlotInfo> test_key(BlockDevice& device, std::span<const KeySource> keys) {
  const Result<KeyedImage> image = read_keyed_image(device);
  if (!image) {
    return image.error();
  }
  const Result<OpenedSlot> opened = open_key_slot(device, *image, keys);
  return opened ? Result<KeySlotInfo>(key_slot_info(opened->slot, *image)) : opened.error();
}

Result<KeySlotInfo> add_key_slot(BlockDevice& device, std::span<const KeySource> keys,
                                 const NewKeySlot& slot) {
  return with_data_key(device, keys,
                       [&](const KeyedImage& image, std::span<const std::byte> data_key) {
                         return add_slot(device, image, data_key, slot);
                       });
}

Result<KeySlotInfo> change_key_slot(BlockDevice& device, std::span<const KeySource> keys,
                                    unsigned number, const NewKeySlot& slot) {
  return with_data_key(device, keys,
                       [&](const KeyedImage& image, std::span<const std::byte> data_key) {
                         return change_slot(device, image, data_key, number, slot);
                       });
}

Status remove_key_slot(BlockDevice& device, unsigned number, bool allow_last) {
  DeviceLock lock(device);
  if (const Status locked = lock.take(); !locked) {
    return locked;
  }
  const Result<KeyedImage> image = image_to_change(device);
  return image ? remove_slot(device, *image, number, allow_last) : image.error();
}

// Whoever has it: nobody is to open it any more.
Status erase_keys(BlockDevice& device) {
  DeviceLock lock(device);
  if (const Status locked = lock.take(DeviceLock::Unclosed::accepted); !locked) {
    return locked;
  }
  // Also of an image whose superblocks say nothing any more: its keys are to go all the same.
  const Result<KeyedImage> image = read_keyed_image(device);
  if (!image) {
    const Result<bool> there = has_key_slots(device);
    if (!there || !*there) {
      return image.error();
    }
  }
  return overwrite_key_slots(device);
}

} // namespace vnvram
