#include "keys/key_slots.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/core.h>

#include "keys/header_area.h"
#include "keys/key_holder.h"
#include "keys/slot_wrap.h"

namespace vnvram {

using format::KeySlot;
using format::KeySlots;

namespace {

Error no_such_slot(const std::string& name, unsigned number) {
  return {ErrorKind::not_found, fmt::format("{}: there is no key slot {}", name, number),
          "`key ls` lists them"};
}

Error erased(const std::string& name) {
  return {ErrorKind::wrong_key,
          fmt::format("{}: it has no key slots: they were erased, and no key opens it", name)};
}

Error key_needed(const std::string& name, const KeySlots& slots) {
  return {ErrorKind::key_needed,
          fmt::format("{}: the image is encrypted; it is opened by {}", name, slot_list(slots)),
          "give one of these keys"};
}

Error wrong_key(const std::string& name, const KeySlots& slots) {
  return {
      ErrorKind::wrong_key,
      fmt::format("{}: no key that was given opens it; it is opened by {}", name, slot_list(slots)),
      "give one of these keys"};
}

std::optional<unsigned> free_number(const KeySlots& slots) {
  for (unsigned number = 0; number < format::key_slot_count_max; ++number) {
    if (std::ranges::find(slots, number, &KeySlot::number) == slots.end()) {
      return number;
    }
  }
  return std::nullopt;
}

Error too_many_slots(const std::string& name) {
  return {ErrorKind::no_space,
          fmt::format("{}: all {} key slots are taken", name, format::key_slot_count_max),
          "take one away first: `key rm`"};
}

/// Of that number, or with none for one more.
Status has_place(const std::string& name, const KeySlots& slots, std::optional<unsigned> number) {
  if (!number) {
    return free_number(slots) ? Status{} : too_many_slots(name);
  }
  return std::ranges::find(slots, *number, &KeySlot::number) != slots.end()
             ? Status{}
             : no_such_slot(name, *number);
}

bool opens(const KeySlot& slot, const KeyedImage& image) {
  return slot.wrap_of(image.key_id) != nullptr;
}

} // namespace

std::string slot_list(const KeySlots& slots) {
  std::string list;
  for (const KeySlot& slot : slots) {
    list += fmt::format("{}slot {}: {}{}", list.empty() ? "" : ", ", slot.number,
                        key_slot_kind_name(slot.kind),
                        slot.label.empty() ? "" : fmt::format(" \"{}\"", slot.label));
  }
  return list;
}

Result<KeySlots> read_key_slots(BlockDevice& device, const Uuid& uuid) {
  const auto content = HeaderArea(device, format::HeaderPart::key_slots, uuid).read();
  if (!content) {
    return content.error();
  }
  const char* reason = nullptr;
  auto slots = format::parse_key_slots(*content, reason);
  return slots ? Result<KeySlots>(*std::move(slots))
               : Error(ErrorKind::corrupt,
                       fmt::format("{}: the key slots cannot be: {}", device.name(), reason),
                       "neither rot nor a cut makes that: somebody else has written them");
}

Status write_key_slots(BlockDevice& device, const Uuid& uuid, const KeySlots& slots) {
  const auto content = format::compose_key_slots(slots);
  return content ? HeaderArea(device, format::HeaderPart::key_slots, uuid).write(*content)
                 : content.error();
}

Result<OpenedSlot> try_key(const KeySource& key, const KeyedImage& image, const KeySlot& slot,
                           const std::string& name) {
  KeyHolder& holder = KeyHolder::of(key);
  const auto kind = holder.opens();
  if (!kind) {
    return kind.error();
  }
  const format::KeyWrap* const wrap = slot.wrap_of(image.key_id);
  if (*kind != slot.kind || wrap == nullptr) {
    return Error(ErrorKind::wrong_key, fmt::format("not the key of slot {}", slot.number));
  }
  const auto secret = holder.secret_for(slot, name);
  if (!secret) {
    return secret.error();
  }
  Result<SecretBytes> data_key = open_wrap(image.uuid, slot, *wrap, *secret);
  if (!data_key) {
    return data_key.error();
  }
  return OpenedSlot{.slot = slot, .data_key = *std::move(data_key), .secret = *secret};
}

Result<OpenedSlot> open_key_slot(BlockDevice& device, const KeyedImage& image,
                                 std::span<const KeySource> keys) {
  const std::string name = device.name();
  const Result<KeySlots> slots = read_key_slots(device, image.uuid);
  if (!slots) {
    return slots.error();
  }
  if (slots->empty()) {
    return erased(name);
  }
  if (keys.empty()) {
    return key_needed(name, *slots);
  }
  // One key or slot that is broken keeps nobody from opening the image with another.
  std::optional<Error> trouble;
  for (const KeySource& key : keys) {
    for (const KeySlot& slot : *slots) {
      Result<OpenedSlot> opened = try_key(key, image, slot, name);
      if (opened) {
        return opened;
      }
      if (!trouble && opened.error().kind() != ErrorKind::wrong_key) {
        trouble = opened.error();
      }
    }
  }
  return trouble ? *trouble : wrong_key(name, *slots);
}

Result<SecretBytes> find_data_key(BlockDevice& device, const KeyedImage& image,
                                  std::span<const KeySource> keys) {
  Result<OpenedSlot> opened = open_key_slot(device, image, keys);
  return opened ? Result<SecretBytes>(std::move(opened->data_key)) : opened.error();
}

Status write_first_key_slots(BlockDevice& device, const KeyedImage& image,
                             std::span<const std::byte> data_key,
                             std::span<const NewKeySlot> slots) {
  if (slots.empty() || slots.size() > format::key_slot_count_max) {
    return slots.empty() ? Error(ErrorKind::invalid_argument,
                                 fmt::format("{}: an encrypted image needs a key", device.name()))
                         : too_many_slots(device.name());
  }
  KeySlots made;
  for (const NewKeySlot& wanted : slots) {
    const auto number = static_cast<unsigned>(made.size());
    const Result<SlotPlan> plan = plan_slot(wanted, device.name());
    Result<KeySlot> slot = plan ? make_slot(image, data_key, number, *plan) : plan.error();
    if (!slot) {
      return slot.error();
    }
    made.push_back(*std::move(slot));
  }
  return write_key_slots(device, image.uuid, made);
}

Status check_place(BlockDevice& device, const KeyedImage& image, std::optional<unsigned> number) {
  const Result<KeySlots> slots = read_key_slots(device, image.uuid);
  return slots ? has_place(device.name(), *slots, number) : Status(slots.error());
}

Result<KeySlot> add_slot(BlockDevice& device, const KeyedImage& image,
                         std::span<const std::byte> data_key, const SlotPlanner& planner) {
  Result<KeySlots> slots = read_key_slots(device, image.uuid);
  if (!slots) {
    return slots.error();
  }
  if (const Status place = has_place(device.name(), *slots, std::nullopt); !place) {
    return place.error();
  }
  const auto number = free_number(*slots);
  const Result<SlotPlan> plan = planner();
  Result<KeySlot> made = plan ? make_slot(image, data_key, *number, *plan) : plan.error();
  if (!made) {
    return made;
  }
  slots->insert(std::ranges::upper_bound(*slots, made->number, {}, &KeySlot::number), *made);
  const Status written = write_key_slots(device, image.uuid, *slots);
  return written ? made : written.error();
}

Result<KeySlot> change_slot(BlockDevice& device, const KeyedImage& image,
                            std::span<const std::byte> data_key, unsigned number,
                            const SlotPlanner& planner) {
  Result<KeySlots> slots = read_key_slots(device, image.uuid);
  if (!slots) {
    return slots.error();
  }
  if (const Status place = has_place(device.name(), *slots, number); !place) {
    return place.error();
  }
  const auto found = std::ranges::find(*slots, number, &KeySlot::number);
  Result<SlotPlan> plan = planner();
  if (!plan) {
    return plan.error();
  }
  if (plan->slot.label.empty()) {
    plan->slot.label = found->label;
  }
  Result<KeySlot> made = make_slot(image, data_key, number, *plan);
  if (!made) {
    return made;
  }
  *found = *made;
  const Status written = write_key_slots(device, image.uuid, *slots);
  return written ? made : written.error();
}

Result<KeySlot> add_slot(BlockDevice& device, const KeyedImage& image,
                         std::span<const std::byte> data_key, const NewKeySlot& slot) {
  return add_slot(device, image, data_key, [&] { return plan_slot(slot, device.name()); });
}

Result<KeySlot> change_slot(BlockDevice& device, const KeyedImage& image,
                            std::span<const std::byte> data_key, unsigned number,
                            const NewKeySlot& slot) {
  return change_slot(device, image, data_key, number,
                     [&] { return plan_slot(slot, device.name()); });
}

Status remove_slot(BlockDevice& device, const KeyedImage& image, unsigned number, bool allow_last) {
  Result<KeySlots> slots = read_key_slots(device, image.uuid);
  if (!slots) {
    return slots.error();
  }
  if (std::erase_if(*slots, [number](const KeySlot& slot) { return slot.number == number; }) == 0) {
    return no_such_slot(device.name(), number);
  }
  const bool opened_still =
      std::ranges::any_of(*slots, [&image](const KeySlot& slot) { return opens(slot, image); });
  if (!opened_still && !allow_last) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("{}: without key slot {} nobody can open the image any more",
                             device.name(), number),
                 "add another key first: `key add`; or `erase` it");
  }
  return write_key_slots(device, image.uuid, *slots);
}

KeySlotInfo key_slot_info(const KeySlot& slot, const KeyedImage& image) {
  KeySlotInfo info{.number = slot.number,
                   .kind = slot.kind,
                   .label = slot.label,
                   .created_seconds = slot.created_seconds,
                   .passes = slot.cost.passes,
                   .memory_kib = slot.cost.memory_kib,
                   .public_key = {},
                   .public_part = slot.public_part,
                   .current = slot.wrap_of(image.key_id) != nullptr};
  if (slot.kind == KeySlotKind::public_key) {
    info.public_key.assign(slot.salt.begin(), slot.salt.end());
  }
  return info;
}

} // namespace vnvram
