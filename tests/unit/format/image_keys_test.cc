// The keys of an encrypted image: each is of its own purpose, by the name that docs/format.md gives
// it, and of no other.
#include "format/image_keys.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "crypto/key_derivation.h"

namespace vnvram::format {
namespace {

const std::vector<std::byte> some_data_key(32, std::byte{7});
constexpr std::array<std::byte, 16> some_uuid{std::byte{1}, std::byte{2}};
constexpr std::array<std::string_view, 4> purposes = {"vnvram 1 record", "vnvram 1 block",
                                                      "vnvram 1 superblock", "vnvram 1 key id"};

SecretBytes derived(std::string_view purpose, std::size_t size_bytes) {
  return derive_key(some_data_key, some_uuid, purpose, size_bytes).value();
}

/// What a key makes of nothing at all tells which key it is.
SealingKey::Tag tag_of(const SealingKey& key) {
  SealingKey::Tag tag{};
  EXPECT_TRUE(key.seal({}, {}, {}, tag).ok());
  return tag;
}

TEST(ImageKeysTest, EachPurposeHasAKeyOfItsOwn) {
  const auto keys = ImageKeys::derive(some_data_key, some_uuid).value();
  for (const std::string_view purpose : purposes) {
    SCOPED_TRACE(purpose);
    const SecretBytes key = derived(purpose, 32);
    const SealingKey sealing = SealingKey::make(key.get()).value();
    EXPECT_EQ(tag_of(keys->records()) == tag_of(sealing), purpose == "vnvram 1 record");
    EXPECT_EQ(tag_of(keys->blocks()) == tag_of(sealing), purpose == "vnvram 1 block");
    EXPECT_EQ(keys->superblocks().code({}) == MessageCodeKey::make(key.get())->code({}),
              purpose == "vnvram 1 superblock");
    EXPECT_EQ(std::ranges::equal(keys->id(), derived(purpose, keys->id().size()).get()),
              purpose == "vnvram 1 key id");
  }
}

} // namespace
} // namespace vnvram::format
