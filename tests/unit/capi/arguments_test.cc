// The C API: what it takes for arguments, and the structures of programs that were built with other
// headers.
#include <cstddef>
#include <string>

#include "unit/capi/capi_fixture.h"

namespace vnvram::test {
namespace {

TEST_F(CApi, RefusesStructuresOfImpossibleSize) {
  create({});
  vnvram_open_options options{};
  vnvram_store* store = nullptr;
  ErrorSlot error;
  EXPECT_EQ(vnvram_open(path_.c_str(), &options, &store, error.out()), VNVRAM_INVALID_ARGUMENT);
  EXPECT_NE(error.text().find("vnvram_open_options"), std::string::npos) << error.text();
  options.struct_size = sizeof options;
  options.flags = 1U << 31U;
  EXPECT_EQ(vnvram_open(path_.c_str(), &options, &store, nullptr), VNVRAM_UNSUPPORTED);
  EXPECT_EQ(store, nullptr);
}

/// vnvram_open_options as it was before deferred writes.
struct EarlierOpenOptions {
  size_t struct_size;
  uint32_t flags;
  uint32_t idle_checkpoint_ms;
  uint64_t cache_size;
  const vnvram_blob_spec* blobs;
  size_t blob_count;
  const char* const* known_attributes;
  size_t known_attribute_count;
  const char* image_key_file;
};
static_assert(sizeof(EarlierOpenOptions) == offsetof(vnvram_open_options, deferral_us));
static_assert(offsetof(EarlierOpenOptions, image_key_file) ==
              offsetof(vnvram_open_options, image_key_file));
static_assert(sizeof(void*) != 8 || offsetof(vnvram_open_options, grow_max) == 104);
static_assert(sizeof(void*) != 8 || sizeof(vnvram_open_options) == 112);

TEST_F(CApi, OpensForAProgramThatWasBuiltWithEarlierHeaders) {
  create({});
  const vnvram_blob_spec blob = spec("a", 100);
  struct {
    EarlierOpenOptions options;
    uint64_t something_else; // Not the library's to read.
  } memory{{}, ~uint64_t{0}};
  memory.options.struct_size = sizeof memory.options;
  memory.options.flags = VNVRAM_OPEN_NO_BACKGROUND;
  memory.options.blobs = &blob;
  memory.options.blob_count = 1;
  const auto* options = reinterpret_cast<const vnvram_open_options*>(&memory.options);
  ErrorSlot error;
  ASSERT_EQ(vnvram_open(path_.c_str(), options, &store_, error.out()), VNVRAM_OK) << error.text();
  write("a", "x");
  write_deferred("a", 1, "y");
  EXPECT_EQ(read("a"), "xy");
  EXPECT_EQ(read_after_a_cut("a"), "x"); // It waits, as by default.
  close();
  for (const size_t wrong : {sizeof memory.options - 1, sizeof memory.options + 1,
                             sizeof(vnvram_open_options) - 1, size_t{8}}) {
    memory.options.struct_size = wrong;
    EXPECT_EQ(vnvram_open(path_.c_str(), options, &store_, nullptr), VNVRAM_INVALID_ARGUMENT);
  }
  memory.options.struct_size = sizeof memory.options;
  memory.options.flags = VNVRAM_OPEN_RESERVE << 1U;
  EXPECT_EQ(vnvram_open(path_.c_str(), options, &store_, nullptr), VNVRAM_UNSUPPORTED);
}

/// As a program sees it that was built with later headers.
template <typename Struct> struct Later {
  Struct known{};
  uint64_t added = 0;
};

TEST_F(CApi, UnderstandsLargerStructuresWhoseNewMembersAreUnused) {
  Later<vnvram_blob_spec> specs[2];
  specs[0].known = spec("a", 100);
  specs[1].known = spec("b", 200);
  specs[0].known.struct_size = specs[1].known.struct_size = sizeof specs[0];
  create({});
  open();
  ASSERT_EQ(vnvram_register(store_, &specs[0].known, 2, nullptr), VNVRAM_OK);
  Later<vnvram_blob_info> info;
  info.known.struct_size = sizeof info;
  info.added = 7;
  ASSERT_EQ(vnvram_blob(store_, "b", &info.known, nullptr), VNVRAM_OK);
  EXPECT_EQ(info.known.size_max, 200U);
  EXPECT_EQ(info.known.struct_size, sizeof info);
  EXPECT_EQ(info.added, 0U);
  specs[1].known = spec("c", 200);
  specs[1].known.struct_size = sizeof specs[1];
  specs[1].added = 1;
  EXPECT_EQ(vnvram_register(store_, &specs[0].known, 2, nullptr), VNVRAM_UNSUPPORTED);
  EXPECT_EQ(vnvram_blob(store_, "c", &info.known, nullptr), VNVRAM_NOT_FOUND);
}

TEST_F(CApi, TakesNullForWhatItIs) {
  ErrorSlot error;
  EXPECT_EQ(vnvram_create(nullptr, nullptr, error.out()), VNVRAM_INVALID_ARGUMENT);
  vnvram_store* none = nullptr;
  EXPECT_EQ(vnvram_write(none, "a", "x", 1, nullptr), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_event_fd(none), -1);
  EXPECT_EQ(vnvram_dispatch(none), 0U);
  EXPECT_EQ(vnvram_write_range_deferred(none, "a", 0, "x", 1, nullptr), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_zero_range_deferred(none, "a", 0, 1, nullptr), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_flush(none, nullptr), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_adopt_after_fork(none, nullptr), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_transaction_zero_range(nullptr, "a", 0, 1, nullptr), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_close(none, nullptr), VNVRAM_OK);
  vnvram_error_free(nullptr);
  vnvram_transaction_free(nullptr);
  vnvram_blob_list_free(nullptr);
  vnvram_report_free(nullptr);
  create({spec("a", 100)});
  open();
  EXPECT_EQ(vnvram_write(store_, nullptr, "x", 1, nullptr), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_write(store_, "a", nullptr, 1, nullptr), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_write(store_, "a", nullptr, 0, nullptr), VNVRAM_OK);
  EXPECT_EQ(vnvram_write_range_deferred(store_, nullptr, 0, "x", 1, nullptr),
            VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_write_range_deferred(store_, "a", 0, nullptr, 1, nullptr),
            VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_zero_range_deferred(store_, nullptr, 0, 1, nullptr), VNVRAM_INVALID_ARGUMENT);
  vnvram_transaction* transaction = begin();
  EXPECT_EQ(vnvram_transaction_zero_range(transaction, nullptr, 0, 1, nullptr),
            VNVRAM_INVALID_ARGUMENT);
  vnvram_transaction_free(transaction);
  EXPECT_EQ(vnvram_commit(store_, nullptr, nullptr), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_commit_async(store_, begin(), nullptr, nullptr, nullptr),
            VNVRAM_INVALID_ARGUMENT);
}

} // namespace
} // namespace vnvram::test
