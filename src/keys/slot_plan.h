// A new key slot before it has its number and the data key.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "base/secret_bytes.h"
#include "format/key_slot.h"
#include "keys/keyed_image.h"
#include "vnvram/key.h"
#include "vnvram/result.h"

namespace vnvram {

struct SlotPlan {
  format::KeySlot slot; ///< But for its number, its time and its wraps.
  SecretBytes key;      ///< What slot_key() makes of the holder's secret; none of kind public_key.
};

/// Asked for when it is known that there is a place.
using SlotPlanner = std::function<Result<SlotPlan>()>;

/// Asks the slot's source for its secret. `image`: its name, for who is asked. Errors:
/// invalid_argument (its label), what the source says, and those of slot_key().
Result<SlotPlan> plan_slot(const NewKeySlot& wanted, const std::string& image);

/// Made now. Errors: those of make_wrap_with().
Result<format::KeySlot> make_slot(const KeyedImage& image, std::span<const std::byte> data_key,
                                  unsigned number, const SlotPlan& plan);

} // namespace vnvram
