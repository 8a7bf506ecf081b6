// Public metadata as it is on the device: round trips, and entries that cannot be.
#include "format/public_metadata.h"

#include <gtest/gtest.h>

#include "support/expect_status.h"

namespace vnvram::format {
namespace {

HeaderContent metadata_of(const std::vector<std::pair<std::string, std::string>>& entries) {
  HeaderContent content{.entry_count = static_cast<std::uint32_t>(entries.size()), .entries = {}};
  for (const auto& [name, value] : entries) {
    for (const std::size_t byte :
         {name.size(), std::size_t{0}, value.size() & 0xffU, value.size() >> 8U}) {
      content.entries.push_back(static_cast<std::byte>(byte));
    }
    for (const char each : name + value) {
      content.entries.push_back(static_cast<std::byte>(each));
    }
  }
  return content;
}

bool refused_metadata(const HeaderContent& content) {
  const char* reason = nullptr;
  const bool parsed = parse_public_metadata(content, reason).has_value();
  EXPECT_TRUE(parsed || reason != nullptr);
  return !parsed;
}

TEST(PublicMetadataTest, WhatIsWrittenComesBackInOrder) {
  const PublicMetadata metadata{
      {"ek/sha256", std::string("\0\xff\n", 3)}, {"Label", std::string(4096, 'v')}, {"empty", ""}};
  const auto content = compose_public_metadata(metadata);
  ASSERT_OK(content);
  EXPECT_EQ(*content, metadata_of({{"Label", std::string(4096, 'v')},
                                   {"ek/sha256", std::string("\0\xff\n", 3)},
                                   {"empty", ""}}));
  const char* reason = nullptr;
  const auto parsed = parse_public_metadata(*content, reason);
  ASSERT_TRUE(parsed.has_value()) << reason;
  EXPECT_EQ(*parsed, metadata);
}

TEST(PublicMetadataTest, EntriesThatCannotBeAreRefused) {
  EXPECT_FALSE(refused_metadata(metadata_of({})));
  EXPECT_FALSE(refused_metadata(metadata_of({{"a", ""}, {"b", ""}})));
  EXPECT_TRUE(refused_metadata(metadata_of({{"b", ""}, {"a", ""}})));
  EXPECT_TRUE(refused_metadata(metadata_of({{"a", ""}, {"a", ""}})));
  EXPECT_TRUE(refused_metadata(metadata_of({{"", "value"}})));
  EXPECT_TRUE(refused_metadata(metadata_of({{"a b", ""}})));
  EXPECT_TRUE(refused_metadata(metadata_of({{std::string(64, 'n'), ""}})));
  EXPECT_FALSE(refused_metadata(metadata_of({{std::string(63, 'n'), ""}})));
  EXPECT_TRUE(refused_metadata(metadata_of({{"a", std::string(4097, 'v')}})));
  HeaderContent content = metadata_of({{"a", "b"}});
  content.entries[1] = std::byte{1};
  EXPECT_TRUE(refused_metadata(content));
  content = metadata_of({{"a", "b"}});
  content.entry_count = 2;
  EXPECT_TRUE(refused_metadata(content));
  for (std::size_t size = 1; size < 6; ++size) {
    content = metadata_of({{"a", "b"}});
    content.entries.resize(size);
    EXPECT_TRUE(refused_metadata(content)) << size;
  }
}

TEST(PublicMetadataTest, WhatNoEntryCanBe) {
  EXPECT_OK(check_public_entry("a/b", std::string(4096, 'v')));
  EXPECT_KIND(check_public_entry("a b", ""), invalid_argument);
  EXPECT_KIND(check_public_entry("", ""), invalid_argument);
  EXPECT_KIND(check_public_entry("a", std::string(4097, 'v')), too_large);
}

TEST(PublicMetadataTest, MoreThanThereIsRoomForIsRefused) {
  PublicMetadata metadata;
  for (const char* name : {"a", "b", "c", "d"}) {
    metadata[name] = std::string(4075, 'v');
  }
  EXPECT_OK(compose_public_metadata(metadata)); // 16,320 bytes.
  metadata["a"] += 'v';
  EXPECT_KIND(compose_public_metadata(metadata), no_space);
}

} // namespace
} // namespace vnvram::format
