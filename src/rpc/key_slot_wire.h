// Between the messages of owner.capnp on key slots and the values that they stand for.
#pragma once

#include "rpc/owner.capnp.h"
#include "vnvram/key.h"
#include "vnvram/key_offer.h"
#include "vnvram/result.h"

namespace vnvram {

void write_key_slot(rpc::KeySlot::Builder to, const KeySlotInfo& slot);
[[nodiscard]] KeySlotInfo read_key_slot(rpc::KeySlot::Reader from);

void write_offer(rpc::KeySlotOffer::Builder to, const KeySlotOffer& offer);
/// As it came: whoever takes it checks it. Errors: invalid_argument (a salt of another length).
[[nodiscard]] Result<KeySlotOffer> read_offer(rpc::KeySlotOffer::Reader from);

} // namespace vnvram
