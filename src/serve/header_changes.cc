#include "serve/header_changes.h"

#include <fmt/core.h>

namespace vnvram {

Result<PublicMetadata> HeaderChanges::metadata() {
  const std::lock_guard lock(mutex_);
  Result<StoreUse> store = keeper_.use(StoreGate::Purpose::read);
  return store ? read_public_metadata((*store)->device()) : store.error();
}

Status HeaderChanges::change_metadata(std::string_view name,
                                      const std::optional<std::string>& value) {
  const std::lock_guard lock(mutex_);
  Result<StoreUse> store = keeper_.use(StoreGate::Purpose::change);
  if (!store) {
    return store.error();
  }
  BlockDevice& device = (*store)->device();
  return value ? set_public_metadata_locked(device, name, *value)
               : remove_public_metadata_locked(device, name);
}

Result<std::vector<std::string>> HeaderChanges::rotate_data_key(bool leave_out_others) {
  const std::lock_guard lock(mutex_);
  Result<StoreUse> store = keeper_.use(StoreGate::Purpose::change);
  if (!store) {
    return store.error();
  }
  const auto left_out = (*store)->rotate_data_key({.leave_out_others = leave_out_others});
  if (!left_out) {
    return left_out.error();
  }
  std::vector<std::string> texts;
  for (const KeySlotInfo& slot : *left_out) {
    texts.push_back(
        fmt::format("slot {}: {} \"{}\"", slot.number, key_slot_kind_name(slot.kind), slot.label));
  }
  return texts;
}

} // namespace vnvram
