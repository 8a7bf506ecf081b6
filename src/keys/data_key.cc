#include "keys/data_key.h"

#include <algorithm>

#include "crypto/key_derivation.h"

namespace vnvram {

Result<format::KeyId> key_id_of(const Uuid& uuid, std::span<const std::byte> data_key) {
  format::KeyId id{};
  const auto derived = derive_key(data_key, uuid, "vnvram 1 key id", id.size());
  if (!derived) {
    return derived.error();
  }
  std::ranges::copy(derived->get(), id.begin());
  return id;
}

Result<SealingKey> voucher_key_of(const Uuid& uuid, std::span<const std::byte> data_key) {
  const auto derived =
      derive_key(data_key, uuid, "vnvram 1 slot voucher", SealingKey::key_size_bytes);
  return derived ? SealingKey::make(derived->get()) : derived.error();
}

} // namespace vnvram
