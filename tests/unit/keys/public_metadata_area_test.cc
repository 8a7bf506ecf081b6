// Public metadata of images, encrypted and plain.
#include <gtest/gtest.h>

#include "support/expect_status.h"
#include "unit/keys/key_fixture.h"
#include "vnvram/public_metadata.h"

namespace vnvram::test {
namespace {

TEST(PublicMetadataAreaTest, NeedsNoKey) {
  for (const bool encrypted : {false, true}) {
    const auto disk = std::make_shared<MemoryDisk>(image_bytes(EncryptedImage().image, encrypted));
    MemoryDevice device(disk);
    const auto none = read_public_metadata(device);
    ASSERT_OK(none);
    EXPECT_TRUE(none->empty());
    ASSERT_OK(set_public_metadata(device, "owner", "somebody"));
    ASSERT_OK(set_public_metadata(device, "ek/sha256", std::string("\0\1", 2)));
    ASSERT_OK(set_public_metadata(device, "owner", "somebody else"));
    const auto both = read_public_metadata(device);
    ASSERT_OK(both);
    EXPECT_EQ(*both,
              (PublicMetadata{{"ek/sha256", std::string("\0\1", 2)}, {"owner", "somebody else"}}));
    ASSERT_OK(remove_public_metadata(device, "owner"));
    EXPECT_KIND(remove_public_metadata(device, "owner"), not_found);
    EXPECT_EQ(read_public_metadata(device)->size(), 1U);
  }
}

TEST(PublicMetadataAreaTest, WhatCannotBeIsRefused) {
  EncryptedImage it;
  const Bytes before = it.disk->bytes();
  EXPECT_KIND(set_public_metadata(it.device, "a b", "x"), invalid_argument);
  EXPECT_KIND(set_public_metadata(it.device, "a", std::string(4097, 'x')), too_large);
  EXPECT_EQ(it.disk->bytes(), before);
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_OK(set_public_metadata(it.device, name, std::string(4096, 'x')));
  }
  EXPECT_KIND(set_public_metadata(it.device, "d", std::string(4096, 'x')), no_space);
  EXPECT_EQ(read_public_metadata(it.device)->size(), 3U);
}

TEST(PublicMetadataAreaTest, NothingIsChangedBesideAnOwner) {
  EncryptedImage it;
  MemoryDevice owner(it.disk);
  ASSERT_OK(owner.lock_for_writing());
  EXPECT_KIND(set_public_metadata(it.device, "a", "x"), in_use);
  EXPECT_KIND(remove_public_metadata(it.device, "a"), in_use);
  EXPECT_OK(read_public_metadata(it.device));
  MemoryDevice reader(it.disk, Access::read_only);
  EXPECT_KIND(set_public_metadata(reader, "a", "x"), read_only);
}

TEST(PublicMetadataAreaTest, WhatIsNoImage) {
  MemoryDevice device(std::make_shared<MemoryDisk>(std::uint64_t{1} << 20U));
  EXPECT_KIND(read_public_metadata(device), blank);
  EXPECT_KIND(set_public_metadata(device, "a", "x"), blank);
}

TEST(PublicMetadataAreaTest, ItIsNotInTheKeySlotsWay) {
  EncryptedImage it;
  ASSERT_OK(set_public_metadata(it.device, "a", "x"));
  const auto slots = list_key_slots(it.device);
  ASSERT_OK(slots);
  EXPECT_TRUE(slots->empty());
}

} // namespace
} // namespace vnvram::test
