// Directory entries: round trips, and entries that cannot be.
#include <gtest/gtest.h>

#include "format/directory_entry.h"

namespace vnvram::format {
namespace {

BlobSpec full_spec() {
  return {std::string(63, 'n'),
          "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
          10000,
          std::string(63, 'p'),
          {{"must", std::string(100, '\xff'), true}, {"may", "", false}}};
}

DirectoryEntry full_entry() {
  DirectoryEntry entry = make_directory_entry(full_spec());
  entry.size_bytes = 77;
  entry.generation = 9;
  entry.registered_generation = 3;
  entry.page_run_count = 2;
  entry.page_runs[0] = {5, 1};
  entry.page_runs[1] = {9, 2};
  return entry;
}

TEST(DirectoryEntryCodec, RoundTrip) {
  const char* reason = nullptr;
  const auto decoded = decode_directory_entry(full_entry(), reason);
  ASSERT_TRUE(decoded.has_value()) << reason;
  const BlobSpec spec = full_spec();
  EXPECT_EQ(decoded->info.name, spec.name);
  EXPECT_EQ(decoded->info.type, spec.type);
  EXPECT_EQ(decoded->info.producer, spec.producer);
  EXPECT_EQ(decoded->info.attributes, spec.attributes);
  EXPECT_EQ(decoded->info.size_max_bytes, 10000U);
  EXPECT_EQ(decoded->info.size_bytes, 77U);
  EXPECT_EQ(decoded->info.generation, 9U);
  ASSERT_EQ(decoded->runs.size(), 2U);
  EXPECT_EQ(decoded->runs[1].first_page, 9U);
}

TEST(DirectoryEntryCodec, EntriesThatCannotBeAreRefused) {
  const auto refused = [](auto change) {
    DirectoryEntry entry = full_entry();
    change(entry);
    const char* reason = nullptr;
    return !decode_directory_entry(entry, reason).has_value() && reason != nullptr;
  };
  EXPECT_TRUE(refused([](DirectoryEntry& e) { e.name[63] = 'x'; }));
  EXPECT_TRUE(refused([](DirectoryEntry& e) { e.name[2] = ' '; }));
  EXPECT_TRUE(refused([](DirectoryEntry& e) { e.name[2] = '\0'; }));
  EXPECT_TRUE(refused([](DirectoryEntry& e) { e.producer[0] = '\x01'; }));
  EXPECT_TRUE(refused([](DirectoryEntry& e) { e.size_bytes = 10001; }));
  EXPECT_TRUE(refused([](DirectoryEntry& e) { e.size_max_bytes = 0; }));
  EXPECT_TRUE(refused([](DirectoryEntry& e) { e.size_max_bytes = ~std::uint64_t{0}; }));
  EXPECT_TRUE(refused([](DirectoryEntry& e) { e.page_run_count = 13; }));
  EXPECT_TRUE(refused([](DirectoryEntry& e) { e.page_run_count = 1; }));
  EXPECT_TRUE(refused([](DirectoryEntry& e) { e.page_runs[1].page_count = 0xffffffff; }));
  EXPECT_TRUE(refused([](DirectoryEntry& e) { e.attributes_bytes = 177; }));
  EXPECT_TRUE(refused([](DirectoryEntry& e) { e.attributes_bytes = 4; }));
  EXPECT_TRUE(refused([](DirectoryEntry& e) { e.attributes[0] = std::byte{2}; }));
  EXPECT_TRUE(refused([](DirectoryEntry& e) { e.attributes[1] = std::byte{255}; }));
  EXPECT_TRUE(refused([](DirectoryEntry& e) { e.reserved[0] = std::byte{1}; }));
}

TEST(DirectoryEntryCodec, SpecsAreChecked) {
  const auto refused = [](auto change) {
    BlobSpec spec = full_spec();
    change(spec);
    const Status checked = check_spec(spec);
    return !checked.ok() && checked.error().kind() == ErrorKind::invalid_argument;
  };
  EXPECT_TRUE(check_spec(full_spec()).ok());
  EXPECT_TRUE(refused([](BlobSpec& s) { s.name = ""; }));
  EXPECT_TRUE(refused([](BlobSpec& s) { s.name = std::string(64, 'n'); }));
  EXPECT_TRUE(refused([](BlobSpec& s) { s.name = "a:b"; }));
  EXPECT_TRUE(refused([](BlobSpec& s) { s.type = "t\n"; }));
  EXPECT_TRUE(refused([](BlobSpec& s) { s.size_max_bytes = 0; }));
  EXPECT_TRUE(refused([](BlobSpec& s) { s.size_max_bytes = blob_size_max_bytes + 1; }));
  EXPECT_TRUE(refused([](BlobSpec& s) { s.producer = std::string(64, 'p'); }));
  EXPECT_TRUE(refused([](BlobSpec& s) { s.attributes.push_back({"may", "again", false}); }));
  EXPECT_TRUE(refused([](BlobSpec& s) { s.attributes[0].value = std::string(170, 'v'); }));
}

} // namespace
} // namespace vnvram::format
