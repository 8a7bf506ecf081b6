// Who can open an image, and what it says to everybody, changed while it is open.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "keys/keyed_image.h"
#include "store/owner_check.h"
#include "store/shared_state.h"
#include "vnvram/key_offer.h"
#include "vnvram/result.h"

namespace vnvram {

/// Nothing else of an open store writes to the header area, but an exchange of the data key.
///
/// Threads: all calls may come from any thread, beside commits; not two at once, nor one beside a
/// KeyExchange.
class HeaderAreaChanges {
public:
  HeaderAreaChanges(SharedState& state, OwnerCheck& owner) : state_(state), owner_(owner) {}

  /// See Store.
  Status check_slot(std::optional<unsigned> number);
  Result<KeySlotInfo> add(const KeySlotOffer& offer, const KeyOfferReceiver& receiver);
  Result<KeySlotInfo> change(unsigned number, const KeySlotOffer& offer,
                             const KeyOfferReceiver& receiver);
  Status remove(unsigned number, bool allow_last);
  Status set_metadata(std::string_view name, const std::optional<std::string>& value);

private:
  /// Has `change(device, image, data_key)` make a slot.
  template <typename Change> Result<KeySlotInfo> with_data_key(const Change& change);
  /// The image is still ours, and has not failed.
  Status may_change();
  /// As it is now.
  Result<KeyedImage> image();

  SharedState& state_;
  OwnerCheck& owner_;
};

} // namespace vnvram
