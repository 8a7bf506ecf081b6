#include "fuzz/header_exerciser.h"

#include <algorithm>

#include "fuzz/require.h"
#include "vnvram/key.h"
#include "vnvram/public_metadata.h"

namespace vnvram::fuzz {
namespace {

bool has_slot(const std::vector<KeySlotInfo>& slots, unsigned number) {
  return std::ranges::any_of(slots, [&](const KeySlotInfo& slot) { return slot.number == number; });
}

void change_metadata(MemoryDevice& device, MemoryDisk& disk) {
  const Bytes before = disk.bytes();
  const Result<PublicMetadata> was = read_public_metadata(device);
  const Status set = set_public_metadata(device, "fuzz", "changed");
  if (!set) {
    require(disk.bytes() == before, "metadata that is refused changes nothing");
    return;
  }
  require(was.ok(), "what cannot be read is not written over");
  PublicMetadata expected = *was;
  expected.insert_or_assign("fuzz", "changed");
  const Result<PublicMetadata> now = read_public_metadata(device);
  require(now.ok() && *now == expected, "metadata is what was set, beside what was there");
}

/// Of slots that a key opens, whoever has written them.
void change_slots(MemoryDevice& device, MemoryDisk& disk, const ImageHistory& history) {
  const auto was = list_key_slots(device);
  const Bytes before = disk.bytes();
  const auto added = add_key_slot(device, history.sources(), {history.sources().back(), "more"});
  if (!added) {
    require(disk.bytes() == before, "a slot that is refused changes nothing");
    return;
  }
  require(was.ok() && !has_slot(*was, added->number), "a new slot takes nobody's place");
  const auto now = list_key_slots(device);
  require(now.ok() && now->size() == was->size() + 1 && has_slot(*now, added->number),
          "a new slot is there, beside all others");
  const auto changed =
      change_key_slot(device, history.sources(), added->number, {history.sources().front(), ""});
  require(changed.ok() && changed->label == "more", "it can be exchanged, and keeps its label");
  require(remove_key_slot(device, added->number).ok(), "it can be taken away");
  const auto after = list_key_slots(device);
  require(after.ok() && after->size() == was->size(), "and the others are left");
}

} // namespace

void exercise_header(const std::shared_ptr<MemoryDisk>& disk, const ImageHistory& history) {
  const auto copy = std::make_shared<MemoryDisk>(disk->bytes());
  MemoryDevice device(copy);
  const Bytes before = copy->bytes();
  const auto slots = list_key_slots(device);
  const auto opened = test_key(device, history.sources());
  require(copy->bytes() == before, "looking changes nothing");
  require(!opened || (slots.ok() && has_slot(*slots, opened->number)),
          "a slot that opens is one of those that there are");
  change_metadata(device, *copy);
  change_slots(device, *copy, history);
  if (erase_keys(device)) {
    require(!test_key(device, history.sources()).ok(), "erased keys open nothing");
  }
}

} // namespace vnvram::fuzz
