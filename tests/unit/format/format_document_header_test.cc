// docs/format.md is true: its examples of public metadata and key slots are what this code reads
// and, with the same random bytes, writes.
#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "crypto/agreed_key.h"
#include "format/public_metadata.h"
#include "keys/data_key.h"
#include "keys/slot_wrap.h"
#include "support/expect_status.h"
#include "unit/format/example_image.h"
#include "unit/format/format_document.h"

namespace vnvram::format {
namespace {

using Bytes = std::vector<std::byte>;

TEST(FormatDocument, ThePublicMetadataDecodes) {
  const auto shown = read_dump("### Example: public metadata");
  Bytes copy(header_copy_size_bytes);
  std::ranges::copy(shown, copy.begin());
  const HeaderPlace place{
      .part = HeaderPart::metadata, .copy = 1, .uuid = example_superblock().uuid};
  const CheckedHeaderCopy checked =
      check_header_copy(place, std::span(copy).first<header_copy_size_bytes>());
  ASSERT_EQ(checked.state, HeaderCopyState::valid) << checked.reason;
  EXPECT_EQ(checked.sequence, 4U);
  const char* reason = nullptr;
  const auto metadata = parse_public_metadata(checked.content, reason);
  ASSERT_TRUE(metadata.has_value()) << reason;
  EXPECT_EQ(*metadata,
            (PublicMetadata{{"owner", "team seven"}, {"rack/place", std::string("\x00\x11", 2)}}));
  EXPECT_EQ(
      compose_header_copy(place, checked.sequence, compose_public_metadata(*metadata).value()),
      copy);
}

/// The slot whose entry is shown, and what its holder has.
struct ShownSlot {
  Bytes entry;
  KeySlot slot;
  Bytes secret;
};

ShownSlot shown_slot(const std::string& name, std::string_view secret) {
  const auto shown = read_dump("### Example: a key slot, " + name);
  std::uint32_t size_bytes = 0;
  std::memcpy(&size_bytes, shown.data(), sizeof(size_bytes));
  ShownSlot it;
  it.entry.assign(shown.begin(), shown.begin() + size_bytes);
  const auto chars = std::as_bytes(std::span(secret));
  it.secret.assign(chars.begin(), chars.end());
  const char* reason = nullptr;
  const auto slots = parse_key_slots({.entry_count = 1, .entries = it.entry}, reason);
  EXPECT_TRUE(slots.has_value()) << name << ": " << reason;
  if (slots) {
    it.slot = slots->front();
    EXPECT_EQ(compose_key_slots(*slots).value().entries, it.entry) << name;
  }
  EXPECT_EQ(it.slot.label, "example");
  EXPECT_EQ(it.slot.created_seconds, 1700000000U);
  return it;
}

/// Sealed anew, with the nonce that is shown.
KeyWrap made_again(const ShownSlot& it, const KeyWrap& shown, const Bytes& data_key) {
  const Uuid uuid = example_superblock().uuid;
  KeyWrap wrap;
  wrap.key_id = key_id_of(uuid, data_key).value();
  wrap.ephemeral = shown.ephemeral;
  wrap.nonce = shown.nonce;
  std::ranges::copy(data_key, wrap.sealed_key.begin());
  const auto key =
      it.slot.kind == KeySlotKind::public_key
          ? find_agreed_key(it.secret, shown.ephemeral, it.slot.salt, "vnvram 1 key slot public")
          : SealingKey::make(slot_key(it.slot, it.secret).value().get());
  EXPECT_OK(key->seal(wrap.nonce, wrap_associated_data(uuid, it.slot, wrap.key_id), wrap.sealed_key,
                      wrap.tag));
  EXPECT_OK(voucher_key_of(uuid, data_key)
                ->seal(wrap.nonce, voucher_associated_data(uuid, it.slot, wrap), {}, wrap.voucher));
  return wrap;
}

void expect_opens(const ShownSlot& it, const std::vector<Bytes>& data_keys) {
  ASSERT_EQ(it.slot.wraps.size(), data_keys.size());
  for (std::size_t i = 0; i < data_keys.size(); ++i) {
    const KeyWrap& wrap = it.slot.wraps[i];
    const auto opened = open_wrap(example_superblock().uuid, it.slot, wrap, it.secret);
    ASSERT_OK(opened);
    EXPECT_EQ(opened->get(), data_keys[i]);
    EXPECT_EQ(made_again(it, wrap, data_keys[i]), wrap);
  }
}

TEST(FormatDocument, TheKeySlotOfAPassphraseDecodes) {
  const ShownSlot it = shown_slot("passphrase", "open sesame");
  EXPECT_EQ(it.slot.number, 1U);
  EXPECT_EQ(it.slot.cost.passes, 1U);
  EXPECT_EQ(it.slot.cost.memory_kib, 8U);
  expect_opens(it, {example_data_key()});
}

TEST(FormatDocument, TheKeySlotOfAPublicKeyDecodes) {
  ShownSlot it = shown_slot("public key", "");
  it.secret = counting(0x80, 32);
  EXPECT_EQ(it.slot.number, 2U);
  EXPECT_EQ(it.slot.salt, agreement_public_key(it.secret).value());
  EXPECT_EQ(it.slot.wraps.front().ephemeral, agreement_public_key(counting(0xc0, 32)).value());
  expect_opens(it, {example_data_key()});
}

TEST(FormatDocument, TheKeySlotOfACommandDecodes) {
  const ShownSlot it = shown_slot("external key", "made of serial number 7");
  EXPECT_EQ(it.slot.number, 3U);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(it.slot.public_part.data()),
                        it.slot.public_part.size()),
            "serial number 7");
  expect_opens(it, {example_data_key()});
}

TEST(FormatDocument, TheKeySlotOfTwoDataKeysDecodes) {
  const ShownSlot it = shown_slot("two data keys", "a machine's key!");
  EXPECT_EQ(it.slot.number, 4U);
  expect_opens(it, {example_data_key(), counting(0xe0, 32)});
}

} // namespace
} // namespace vnvram::format
