// The key slots of one image: found, opened, added, exchanged, taken away.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/secret_bytes.h"
#include "format/key_slot.h"
#include "keys/keyed_image.h"
#include "keys/slot_plan.h"
#include "vnvram/block_device.h"
#include "vnvram/key.h"
#include "vnvram/result.h"

namespace vnvram {

// Who writes has the device's lock.

/// None, if they were erased. Errors: corrupt, io.
Result<format::KeySlots> read_key_slots(BlockDevice& device, const Uuid& uuid);
/// Durably; after a cut there are the old ones or these. Errors: no_space, corrupt, io.
Status write_key_slots(BlockDevice& device, const Uuid& uuid, const format::KeySlots& slots);

/// What an image can be opened with.
struct OpenedSlot {
  format::KeySlot slot;
  SecretBytes data_key;
  std::span<const std::byte> secret; ///< Its holder's, kept by the source that it is of.
};

/// With one key. Errors: wrong_key (also if it is for slots of another kind), what the source says,
/// and those of open_wrap().
Result<OpenedSlot> try_key(const KeySource& key, const KeyedImage& image,
                           const format::KeySlot& slot, const std::string& name);

/// With the first key that opens one of the slots. Errors: key_needed (there is none), wrong_key,
/// corrupt, io, and what the sources say.
Result<OpenedSlot> open_key_slot(BlockDevice& device, const KeyedImage& image,
                                 std::span<const KeySource> keys);
/// The same, for who wants the data key only.
Result<SecretBytes> find_data_key(BlockDevice& device, const KeyedImage& image,
                                  std::span<const KeySource> keys);

/// Those of a new image, whose header area is zero. Errors: invalid_argument (none, too many, a
/// label), no_space, io, and what the sources say.
Status write_first_key_slots(BlockDevice& device, const KeyedImage& image,
                             std::span<const std::byte> data_key,
                             std::span<const NewKeySlot> slots);

/// What add_slot() and, with a number, change_slot() find out before they ask for a plan. Errors:
/// no_space, not_found, corrupt, io.
Status check_place(BlockDevice& device, const KeyedImage& image, std::optional<unsigned> number);
/// In the first free place. The plan is asked for when there is one. Errors: as above, and the
/// planner's.
Result<format::KeySlot> add_slot(BlockDevice& device, const KeyedImage& image,
                                 std::span<const std::byte> data_key, const SlotPlanner& planner);
Result<format::KeySlot> add_slot(BlockDevice& device, const KeyedImage& image,
                                 std::span<const std::byte> data_key, const NewKeySlot& slot);
/// Its number stays, and its label unless there is a new one. Errors: not_found, and as above.
Result<format::KeySlot> change_slot(BlockDevice& device, const KeyedImage& image,
                                    std::span<const std::byte> data_key, unsigned number,
                                    const SlotPlanner& planner);
Result<format::KeySlot> change_slot(BlockDevice& device, const KeyedImage& image,
                                    std::span<const std::byte> data_key, unsigned number,
                                    const NewKeySlot& slot);
/// Errors: not_found; invalid_argument for the last one that opens the image, unless `allow_last`.
Status remove_slot(BlockDevice& device, const KeyedImage& image, unsigned number, bool allow_last);

/// What is told of a slot of that image.
[[nodiscard]] KeySlotInfo key_slot_info(const format::KeySlot& slot, const KeyedImage& image);

/// For messages: "slot 0: key "host", slot 3: passphrase".
[[nodiscard]] std::string slot_list(const format::KeySlots& slots);

} // namespace vnvram
