// Who can open an image, changed while it is open.
#pragma once

#include "keys/keyed_image.h"
#include "store/owner_check.h"
#include "store/shared_state.h"
#include "vnvram/key_offer.h"
#include "vnvram/result.h"

namespace vnvram {

/// The key slots are a part of the header area that nothing else of an open store writes to, but an
/// exchange of the data key.
///
/// Threads: all calls may come from any thread, beside commits; not two at once, nor one beside a
/// KeyExchange.
class KeySlotChanges {
public:
  KeySlotChanges(SharedState& state, OwnerCheck& owner) : state_(state), owner_(owner) {}

  /// See Store.
  Result<KeySlotInfo> add(const KeySlotOffer& offer, const KeyOfferReceiver& receiver);
  Result<KeySlotInfo> change(unsigned number, const KeySlotOffer& offer,
                             const KeyOfferReceiver& receiver);
  Status remove(unsigned number, bool allow_last);

private:
  /// Has `change(image, data_key)` make a slot.
  template <typename Change> Result<KeySlotInfo> with_data_key(const Change& change);
  /// As it is now, if it is still ours to change.
  Result<KeyedImage> image();

  SharedState& state_;
  OwnerCheck& owner_;
};

} // namespace vnvram
