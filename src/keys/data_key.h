// The one random key that an image's other keys come from.
#pragma once

#include <span>

#include "base/secret_bytes.h"
#include "base/uuid.h"
#include "crypto/sealing_key.h"
#include "format/key_slot.h"
#include "vnvram/result.h"

namespace vnvram {

/// What is said of a data key in public.
Result<format::KeyId> key_id_of(const Uuid& uuid, std::span<const std::byte> data_key);
/// What vouches for the slots that were made by somebody who had it.
Result<SealingKey> voucher_key_of(const Uuid& uuid, std::span<const std::byte> data_key);

} // namespace vnvram
