#include "uefi/flash_chip.h"

#include <gtest/gtest.h>

namespace vnvram::test {
namespace {

BlobInfo blob_with(const std::string& name, const std::string& value) {
  BlobInfo blob;
  blob.size_max_bytes = 786432;
  blob.attributes.push_back({.name = "other", .value = "67108864"});
  blob.attributes.push_back({.name = name, .value = value});
  return blob;
}

TEST(FlashChip, IsAsLargeAsTheBlobSays) {
  const Attribute attribute = chip_size_attribute(67108864);
  EXPECT_FALSE(attribute.must_know) << "a reader without it still has the whole content";
  EXPECT_EQ(chip_size_bytes(blob_with(attribute.name, attribute.value)), 67108864U);
  EXPECT_EQ(chip_size_bytes(blob_with("flash.chip_size_bytes", "33554432")), 33554432U);
}

TEST(FlashChip, WhatAnAttributeCannotMeanIsIgnored) {
  for (const char* value : {"", "0", "-1", "64M", "67108864 ", " 67108864", "67108865", "512",
                            "268439552", "99999999999999999999999"}) {
    EXPECT_EQ(chip_size_bytes(blob_with("flash.chip_size_bytes", value)), 786432U) << value;
  }
  EXPECT_EQ(chip_size_bytes(blob_with("flash.chip_size_bytes", "4096")), 786432U)
      << "never less than the blob";
  EXPECT_EQ(chip_size_bytes(blob_with("chip_size_bytes", "67108864")), 786432U);
}

} // namespace
} // namespace vnvram::test
