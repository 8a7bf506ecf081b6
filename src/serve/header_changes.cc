#include "serve/header_changes.h"

#include <fmt/core.h>

namespace vnvram {
namespace {

std::vector<std::string> texts_of(const std::vector<KeySlotInfo>& slots) {
  std::vector<std::string> texts;
  texts.reserve(slots.size());
  for (const KeySlotInfo& slot : slots) {
    texts.push_back(
        fmt::format("slot {}: {} \"{}\"", slot.number, key_slot_kind_name(slot.kind), slot.label));
  }
  return texts;
}

} // namespace

/// One is under way for as long as it exists.
class HeaderChanges::RunningRotation {
public:
  explicit RunningRotation(HeaderChanges& changes) : changes_(changes) { tell(RotationProgress{}); }
  RunningRotation(const RunningRotation&) = delete;
  RunningRotation& operator=(const RunningRotation&) = delete;
  ~RunningRotation() { tell(std::nullopt); }

  void tell(const std::optional<RotationProgress>& progress) {
    const std::lock_guard lock(changes_.rotation_mutex_);
    changes_.rotation_ = progress;
  }

private:
  HeaderChanges& changes_;
};

std::optional<RotationProgress> HeaderChanges::rotation_under_way() const {
  const std::lock_guard lock(rotation_mutex_);
  return rotation_;
}

Result<StoreUse> HeaderChanges::begin() {
  std::optional<Result<StoreUse>> store = keeper_.try_to_change();
  return store ? *std::move(store)
               : Error(ErrorKind::in_use,
                       "changes of the image are held, or it is another host's for now",
                       "wait until the hold has ended, or end it: `release`; what another host has "
                       "is changed there");
}

// Beside a change there are the old entries or the new ones: nobody waits.
Result<PublicMetadata> HeaderChanges::metadata() {
  Result<StoreUse> store = keeper_.use(StoreGate::Purpose::read);
  return store ? read_public_metadata((*store)->device()) : store.error();
}

Status HeaderChanges::change_metadata(std::string_view name,
                                      const std::optional<std::string>& value) {
  const std::lock_guard lock(mutex_);
  Result<StoreUse> store = begin();
  return store ? (*store)->set_metadata(name, value) : Status(store.error());
}

Result<RotatedSlots> HeaderChanges::rotate_data_key(const KeyRotation& rotation) {
  const std::lock_guard lock(mutex_);
  Result<StoreUse> store = begin();
  if (!store) {
    return store.error();
  }
  RunningRotation running(*this);
  KeyRotation told = rotation;
  told.progress = [&](std::uint64_t done_bytes, std::uint64_t all_bytes) {
    running.tell(RotationProgress{.done_bytes = done_bytes, .all_bytes = all_bytes});
    if (rotation.progress) {
      rotation.progress(done_bytes, all_bytes);
    }
  };
  const auto left_out = (*store)->rotate_data_key(told);
  if (!left_out) {
    return left_out.error();
  }
  const auto opens = list_key_slots((*store)->device());
  return opens ? Result<RotatedSlots>(RotatedSlots{texts_of(*left_out), texts_of(*opens)})
               : opens.error();
}

// Beside a change there are the old slots or the new ones: nobody waits.
Result<std::vector<KeySlotInfo>> HeaderChanges::key_slots() {
  Result<StoreUse> store = keeper_.use(StoreGate::Purpose::read);
  return store ? list_key_slots((*store)->device()) : store.error();
}

Status HeaderChanges::check_key_slot(std::optional<unsigned> number) {
  const std::lock_guard lock(mutex_);
  Result<StoreUse> store = begin();
  return store ? (*store)->check_key_slot(number) : Status(store.error());
}

Result<KeySlotInfo> HeaderChanges::add_key_slot(const KeySlotOffer& offer,
                                                const KeyOfferReceiver& receiver) {
  const std::lock_guard lock(mutex_);
  Result<StoreUse> store = begin();
  return store ? (*store)->add_key_slot(offer, receiver) : store.error();
}

Result<KeySlotInfo> HeaderChanges::change_key_slot(unsigned number, const KeySlotOffer& offer,
                                                   const KeyOfferReceiver& receiver) {
  const std::lock_guard lock(mutex_);
  Result<StoreUse> store = begin();
  return store ? (*store)->change_key_slot(number, offer, receiver) : store.error();
}

Status HeaderChanges::remove_key_slot(unsigned number, bool allow_last) {
  const std::lock_guard lock(mutex_);
  Result<StoreUse> store = begin();
  return store ? (*store)->remove_key_slot(number, allow_last) : Status(store.error());
}

} // namespace vnvram
