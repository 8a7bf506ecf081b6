// What an export says of itself, and what is not taken for that.
#include "backup/export_manifest.h"

#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "support/expect_status.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

BlobInfo info(std::string name, std::uint64_t size_bytes = 3) {
  return {.name = std::move(name),
          .type = "test",
          .size_max_bytes = 100,
          .size_bytes = size_bytes,
          .generation = 5,
          .registered_generation = 2,
          .producer = "somebody 1",
          .attributes = {{.name = "k", .value = std::string("\0\xff", 2), .must_know = true}}};
}

ExportManifest manifest() {
  ExportManifest made{.uuid = {}, .generation = 17, .since = 9, .sealed = true, .blobs = {}};
  made.uuid.fill(std::byte{0xab});
  made.blobs = {{.info = info("a"), .digest = 0x0123456789abcdef},
                {.info = info("b/c"), .digest = 1}};
  return made;
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), with);
}

TEST(ExportManifest, ComesBackAsItWas) {
  const auto read = parse_manifest("x", bytes(manifest_text(manifest())));
  ASSERT_OK(read);
  EXPECT_EQ(read->uuid, manifest().uuid);
  EXPECT_EQ(read->generation, 17U);
  EXPECT_EQ(read->since, 9U);
  EXPECT_TRUE(read->sealed);
  ASSERT_EQ(read->blobs.size(), 2U);
  const ExportedBlob& blob = read->blobs[0];
  EXPECT_EQ(blob.spec().attributes, info("a").attributes);
  EXPECT_EQ(blob.info.producer, "somebody 1");
  EXPECT_EQ(blob.digest, 0x0123456789abcdefU);
  EXPECT_EQ(blob.info.generation, 5U);
  EXPECT_EQ(blob.info.registered_generation, 2U);
  EXPECT_NE(read->find("b/c"), nullptr);
  EXPECT_EQ(read->find("b"), nullptr);
}

TEST(ExportManifest, WhatCannotBeOneIsRefused) {
  const std::string good = manifest_text(manifest());
  for (const std::string& text :
       {std::string(),
        std::string("{"),
        std::string("[]"),
        std::string("7"),
        std::string("null"),
        std::string(100000, '['),
        good.substr(0, good.size() / 2),
        "{\"x\":" + std::string(9, '{'),
        replaced(good, "\"generation\":17", "\"generation\":-17"),
        replaced(good, "\"generation\":17", "\"generation\":\"17\""),
        replaced(good, "\"generation\":17", "\"generation\":8"), // Before it began.
        replaced(good, "\"generation\":17", "\"generation\":99999999999999999999999"),
        replaced(good, "abab-", "ab-"),
        replaced(good, "\"sealed\":true", "\"sealed\":1"),
        replaced(good, "00ff", "00f"),
        replaced(good, "0123456789abcdef", "0123456789abcde"),
        replaced(good, "\"since\":9", "\"since\":\"9\""),
        replaced(good, "\"name\":\"b/c\"", "\"name\":\"a\""),
        replaced(good, "\"name\":\"b/c\"", "\"name\":\"A\""),
        replaced(good, "\"name\":\"b/c\"", "\"name\":\"vnvram/export\""),
        replaced(good, "\"name\":\"a\"", "\"name\":\"\\u001b[2J\""),
        replaced(good, "\"size_bytes\":3", "\"size_bytes\":101"),
        replaced(good, "\"size_max_bytes\":100", "\"size_max_bytes\":18446744073709551615"),
        replaced(good, "\"blobs\":[", "\"blobs\":[7,")}) {
    EXPECT_KIND(parse_manifest("x", bytes(text)), corrupt);
  }
  EXPECT_KIND(parse_manifest("x", bytes(replaced(good, "\"version\":1", "\"version\":2"))),
              too_new);
}

TEST(ExportManifest, BlobsThatNoImageHasRoomForAreRefused) {
  std::vector<BlobInfo> blobs;
  for (unsigned number = 1000; number < 1500; ++number) {
    blobs.push_back(info("blob" + std::to_string(number), 0));
    blobs.back().size_max_bytes = blob_size_max_bytes;
  }
  EXPECT_KIND(check_blobs("x", blobs), corrupt);
  blobs.resize(50);
  ASSERT_OK(check_blobs("x", blobs));
  blobs.front().generation = 0;
  blobs.front().size_bytes = 1; // Never written.
  EXPECT_KIND(check_blobs("x", blobs), corrupt);
}

} // namespace
} // namespace vnvram
