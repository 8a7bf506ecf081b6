#include "keys/slot_wrap.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "base/barrier.h"
#include "crypto/agreed_key.h"
#include "crypto/key_derivation.h"
#include "crypto/passphrase_hash.h"
#include "keys/data_key.h"

namespace vnvram {

using format::KeySlot;
using format::KeyWrap;

namespace {

constexpr std::string_view slot_purpose = "vnvram 1 key slot";
constexpr std::string_view public_slot_purpose = "vnvram 1 key slot public";

Result<SealingKey> slot_sealing_key(const KeySlot& slot, std::span<const std::byte> secret) {
  const auto key = slot_key(slot, secret);
  return key ? SealingKey::make(key->get()) : key.error();
}

Result<SealingKey> new_wrap_key(const KeySlot& slot, std::span<const std::byte> own_key,
                                KeyWrap& wrap) {
  if (slot.kind != KeySlotKind::public_key) {
    return SealingKey::make(own_key);
  }
  Result<AgreedKey> agreed = make_agreed_key(slot.salt, public_slot_purpose);
  if (!agreed) {
    return agreed.error();
  }
  wrap.ephemeral = agreed->ephemeral;
  return std::move(agreed->key);
}

Result<SealingKey> found_wrap_key(const KeySlot& slot, const KeyWrap& wrap,
                                  std::span<const std::byte> secret) {
  return slot.kind == KeySlotKind::public_key
             ? find_agreed_key(secret, wrap.ephemeral, slot.salt, public_slot_purpose)
             : slot_sealing_key(slot, secret);
}

Error made_without_the_key(const KeySlot& slot) {
  return {ErrorKind::corrupt,
          fmt::format("key slot {} was not made by anybody who could open the image", slot.number),
          "somebody else can write to the device"};
}

} // namespace

Result<SecretBytes> slot_key(const KeySlot& slot, std::span<const std::byte> secret) {
  if (slot.kind != KeySlotKind::passphrase) {
    return derive_key(secret, slot.salt, slot_purpose, SealingKey::key_size_bytes);
  }
  const auto hash =
      hash_passphrase(secret, std::span(slot.salt).first<passphrase_salt_size_bytes>(), slot.cost);
  return hash ? derive_key(hash->get(), slot.salt, slot_purpose, SealingKey::key_size_bytes)
              : hash.error();
}

Result<KeyWrap> make_wrap(const Uuid& uuid, const KeySlot& slot, std::span<const std::byte> secret,
                          std::span<const std::byte> data_key) {
  if (slot.kind == KeySlotKind::public_key) {
    return make_wrap_with(uuid, slot, {}, data_key);
  }
  const auto key = slot_key(slot, secret);
  return key ? make_wrap_with(uuid, slot, key->get(), data_key) : key.error();
}

Result<KeyWrap> make_wrap_with(const Uuid& uuid, const KeySlot& slot,
                               std::span<const std::byte> own_key,
                               std::span<const std::byte> data_key) {
  KeyWrap wrap;
  const auto key = new_wrap_key(slot, own_key, wrap);
  const auto key_id = key_id_of(uuid, data_key);
  const auto nonce = SealingKey::make_nonce();
  const auto voucher_key = voucher_key_of(uuid, data_key);
  if (!key || !key_id || !nonce || !voucher_key) {
    return !key      ? key.error()
           : !key_id ? key_id.error()
           : !nonce  ? nonce.error()
                     : voucher_key.error();
  }
  wrap.key_id = *key_id;
  wrap.nonce = *nonce;
  std::ranges::copy(data_key, wrap.sealed_key.begin());
  Status sealed = key->seal(wrap.nonce, format::wrap_associated_data(uuid, slot, wrap.key_id),
                            wrap.sealed_key, wrap.tag);
  if (sealed) {
    sealed = voucher_key->seal(wrap.nonce, format::voucher_associated_data(uuid, slot, wrap), {},
                               wrap.voucher);
  }
  if (!sealed) {
    wipe_memory(wrap.sealed_key);
    return sealed.error();
  }
  return wrap;
}

Result<SecretBytes> open_wrap(const Uuid& uuid, const KeySlot& slot, const KeyWrap& wrap,
                              std::span<const std::byte> secret) {
  const auto key = found_wrap_key(slot, wrap, secret);
  if (!key) {
    return key.error();
  }
  std::vector<std::byte> bytes(wrap.sealed_key.begin(), wrap.sealed_key.end());
  const Status opened =
      key->open(wrap.nonce, format::wrap_associated_data(uuid, slot, wrap.key_id), bytes, wrap.tag);
  SecretBytes data_key(std::move(bytes));
  if (!opened) {
    return opened.error().kind() == ErrorKind::corrupt
               ? Error(ErrorKind::wrong_key, fmt::format("not the key of slot {}", slot.number))
               : opened.error();
  }
  const auto key_id = key_id_of(uuid, data_key.get());
  if (!key_id) {
    return key_id.error();
  }
  if (*key_id != wrap.key_id) {
    return made_without_the_key(slot);
  }
  const Status vouched = check_voucher(uuid, slot, wrap, data_key.get());
  return vouched ? Result<SecretBytes>(std::move(data_key)) : vouched.error();
}

Status check_voucher(const Uuid& uuid, const KeySlot& slot, const KeyWrap& wrap,
                     std::span<const std::byte> data_key) {
  const auto key = voucher_key_of(uuid, data_key);
  if (!key) {
    return key.error();
  }
  const Status fits =
      key->open(wrap.nonce, format::voucher_associated_data(uuid, slot, wrap), {}, wrap.voucher);
  if (fits || !kept(Barrier::voucher_checked)) {
    return {};
  }
  return fits.error().kind() != ErrorKind::corrupt ? fits : made_without_the_key(slot);
}

} // namespace vnvram
