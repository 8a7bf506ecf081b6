// Seals a data key for a slot's holder, and opens it with what the holder has.
#pragma once

#include <span>

#include "base/secret_bytes.h"
#include "base/uuid.h"
#include "format/key_slot.h"
#include "vnvram/result.h"

namespace vnvram {

/// `secret`: the holder's bytes, or passphrase; nothing of kind public_key, whose public key is in
/// the slot. All of the slot but its wraps is final. Errors: those of libraries that are not there
/// or cannot (unsupported, no_space, io).
Result<format::KeyWrap> make_wrap(const Uuid& uuid, const format::KeySlot& slot,
                                  std::span<const std::byte> secret,
                                  std::span<const std::byte> data_key);

/// What seals data keys in a slot of any kind but public_key: the secret's, and the slot's salt and
/// cost. Errors: as above.
Result<SecretBytes> slot_key(const format::KeySlot& slot, std::span<const std::byte> secret);
/// make_wrap() for who has only that (nothing of kind public_key). Errors: as above;
/// invalid_argument for one that slot_key() has not made.
Result<format::KeyWrap> make_wrap_with(const Uuid& uuid, const format::KeySlot& slot,
                                       std::span<const std::byte> own_key,
                                       std::span<const std::byte> data_key);

/// The data key, and it is that of the wrap's key_id. `secret`: of kind public_key, the private
/// key. Errors: wrong_key; corrupt (it was made by somebody who did not have the data key); as
/// above.
Result<SecretBytes> open_wrap(const Uuid& uuid, const format::KeySlot& slot,
                              const format::KeyWrap& wrap, std::span<const std::byte> secret);

/// corrupt if nobody who had the data key has made this slot as it is.
Status check_voucher(const Uuid& uuid, const format::KeySlot& slot, const format::KeyWrap& wrap,
                     std::span<const std::byte> data_key);

} // namespace vnvram
