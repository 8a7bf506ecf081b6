// A wrap is opened by its slot's holder, for its image, as the slot says; and by nothing else.
#include "keys/slot_wrap.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "crypto/key_agreement.h"
#include "crypto/key_derivation.h"
#include "keys/data_key.h"
#include "support/expect_status.h"
#include "unit/keys/key_fixture.h"

namespace vnvram::test {
namespace {

using format::KeySlot;
using format::KeyWrap;

constexpr Uuid wrap_uuid = {std::byte{1}, std::byte{2}, std::byte{3}};

/// A slot of a kind, with its wrap, and what opens it.
struct Wrapped {
  KeySlot slot;
  Bytes secret;
  Bytes data_key = Bytes(32, std::byte{0x42});
};

Wrapped wrapped(KeySlotKind kind) {
  Wrapped made;
  made.slot.kind = kind;
  made.slot.number = 3;
  made.slot.label = "label";
  made.secret = bytes_of("the holder's 16 bytes or more");
  made.slot.salt.fill(std::byte{9});
  if (kind == KeySlotKind::passphrase) {
    made.slot.cost = {.passes = 1, .memory_kib = 8};
  } else if (kind == KeySlotKind::external) {
    made.slot.public_part = bytes_of("public");
  } else if (kind == KeySlotKind::public_key) {
    made.secret = Bytes(32, std::byte{0x55});
    made.slot.salt = *agreement_public_key(made.secret);
  }
  const bool is_public = kind == KeySlotKind::public_key;
  auto wrap = make_wrap(wrap_uuid, made.slot, is_public ? Bytes() : made.secret, made.data_key);
  EXPECT_TRUE(wrap.ok());
  made.slot.wraps.push_back(*wrap);
  return made;
}

constexpr std::array all_kinds = {KeySlotKind::key, KeySlotKind::passphrase,
                                  KeySlotKind::public_key, KeySlotKind::external};

Result<SecretBytes> opened(const Wrapped& it, const Uuid& uuid = wrap_uuid) {
  return open_wrap(uuid, it.slot, it.slot.wraps[0], it.secret);
}

TEST(SlotWrapTest, ItsHolderOpensIt) {
  for (const KeySlotKind kind : all_kinds) {
    const Wrapped it = wrapped(kind);
    const auto data_key = opened(it);
    ASSERT_OK(data_key);
    EXPECT_EQ(data_key->get(), it.data_key);
    EXPECT_EQ(it.slot.wraps[0].key_id, *key_id_of(wrap_uuid, it.data_key));
    EXPECT_NE(Bytes(it.slot.wraps[0].sealed_key.begin(), it.slot.wraps[0].sealed_key.end()),
              it.data_key);
    EXPECT_OK(check_voucher(wrap_uuid, it.slot, it.slot.wraps[0], it.data_key));
  }
}

TEST(SlotWrapTest, EachIsSealedInItsOwnWay) {
  for (const KeySlotKind kind : all_kinds) {
    const KeyWrap one = wrapped(kind).slot.wraps[0];
    const KeyWrap other = wrapped(kind).slot.wraps[0];
    EXPECT_NE(one.nonce, other.nonce);
    EXPECT_NE(one.sealed_key, other.sealed_key);
    EXPECT_EQ(one.ephemeral == other.ephemeral, kind != KeySlotKind::public_key);
  }
}

TEST(SlotWrapTest, AnotherKeyDoesNotOpenIt) {
  for (const KeySlotKind kind : all_kinds) {
    Wrapped it = wrapped(kind);
    it.secret[5] ^= std::byte{1};
    EXPECT_KIND(opened(it), wrong_key);
  }
}

TEST(SlotWrapTest, InAnotherImageOrSlotItIsNone) {
  for (const KeySlotKind kind : all_kinds) {
    const auto refused = [kind](auto change) {
      Wrapped it = wrapped(kind);
      change(it);
      const auto data_key = opened(it);
      return !data_key && data_key.error().kind() == ErrorKind::wrong_key;
    };
    Uuid other_uuid = wrap_uuid;
    other_uuid[15] ^= std::byte{1};
    EXPECT_KIND(opened(wrapped(kind), other_uuid), wrong_key);
    EXPECT_TRUE(refused([](Wrapped& it) { it.slot.number = 4; }));
    EXPECT_TRUE(refused([](Wrapped& it) { it.slot.label = "labeL"; }));
    EXPECT_TRUE(refused([](Wrapped& it) { it.slot.created_seconds = 1; }));
    EXPECT_TRUE(refused([](Wrapped& it) { it.slot.salt[7] ^= std::byte{1}; }));
    EXPECT_TRUE(refused([](Wrapped& it) { it.slot.public_part.push_back(std::byte{1}); }));
    EXPECT_TRUE(refused([](Wrapped& it) { it.slot.wraps[0].key_id[0] ^= std::byte{1}; }));
    EXPECT_TRUE(refused([](Wrapped& it) { it.slot.wraps[0].nonce[0] ^= std::byte{1}; }));
    EXPECT_TRUE(refused([](Wrapped& it) { it.slot.wraps[0].sealed_key[0] ^= std::byte{1}; }));
    EXPECT_TRUE(refused([](Wrapped& it) { it.slot.wraps[0].tag[0] ^= std::byte{1}; }));
  }
}

TEST(SlotWrapTest, WhatWasMadeWithoutTheDataKeyIsRefused) {
  for (const KeySlotKind kind : all_kinds) {
    Wrapped it = wrapped(kind);
    it.slot.wraps[0].voucher[0] ^= std::byte{1};
    EXPECT_KIND(opened(it), corrupt);
    EXPECT_KIND(check_voucher(wrap_uuid, it.slot, it.slot.wraps[0], it.data_key), corrupt);
  }
  // Another holder's public key, in a slot that was made by whoever can write to the device: with a
  // voucher of a data key that is not the image's.
  const Wrapped honest = wrapped(KeySlotKind::public_key);
  Wrapped forged = wrapped(KeySlotKind::public_key);
  forged.data_key = Bytes(32, std::byte{0x66});
  forged.slot.wraps[0] = *make_wrap(wrap_uuid, forged.slot, {}, forged.data_key);
  forged.slot.wraps[0].key_id = honest.slot.wraps[0].key_id;
  EXPECT_KIND(check_voucher(wrap_uuid, forged.slot, forged.slot.wraps[0], honest.data_key),
              corrupt);
}

// Anybody can seal anything for a public key: also a data key under another one's name.
TEST(SlotWrapTest, ADataKeyIsTheOneThatItIsSaidToBe) {
  Wrapped it = wrapped(KeySlotKind::key);
  KeyWrap& wrap = it.slot.wraps[0];
  wrap.key_id.fill(std::byte{0xee});
  const auto key =
      SealingKey::make(derive_key(it.secret, it.slot.salt, "vnvram 1 key slot", 32)->get());
  ASSERT_OK(key);
  std::ranges::copy(it.data_key, wrap.sealed_key.begin());
  ASSERT_OK(key->seal(wrap.nonce, format::wrap_associated_data(wrap_uuid, it.slot, wrap.key_id),
                      wrap.sealed_key, wrap.tag));
  EXPECT_KIND(opened(it), corrupt);
}

TEST(SlotWrapTest, APublicKeyOfSmallOrderIsRefused) {
  Wrapped it = wrapped(KeySlotKind::public_key);
  it.slot.wraps[0].ephemeral = {std::byte{1}};
  EXPECT_KIND(opened(it), corrupt);
  it.slot.salt = {std::byte{1}};
  EXPECT_KIND(make_wrap(wrap_uuid, it.slot, {}, it.data_key), corrupt);
}

} // namespace
} // namespace vnvram::test
