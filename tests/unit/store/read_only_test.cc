// A store that was opened read-only: every call that writes refuses, and nothing is written.
#include "unit/store/hooked_device.h"
#include "unit/store/store_fixture.h"
#include "vnvram/rescue.h"

namespace vnvram {
namespace {

class ReadOnly : public StoreFixture {
protected:
  void SetUp() override {
    create({spec("a", 100)});
    ASSERT_OK(open()->write("a", bytes("kept")));
  }
  /// On a device that would let it write.
  std::unique_ptr<Store> open_so(bool background) {
    OpenOptions options;
    options.access = Access::read_only;
    options.background = background;
    auto store = Store::open(std::make_unique<MemoryDevice>(disk_), std::move(options));
    EXPECT_TRUE(store.ok());
    return *std::move(store);
  }
};

TEST_F(ReadOnly, EveryCallThatWritesRefuses) {
  for (const bool sealed : {false, true}) {
    if (sealed) {
      ASSERT_OK(seal_image(std::make_unique<MemoryDevice>(disk_)));
    }
    for (const bool background : {false, true}) {
      const Bytes before = disk_->bytes();
      const auto store = open_so(background);
      const std::vector<BlobSpec> specs = {spec("b", 100)};
      const std::vector<NewBlob> blobs = {{.spec = spec("b", 100), .content = bytes("new")}};
      Transaction transaction;
      transaction.write("a", bytes("lost"));
      EXPECT_KIND(store->register_blobs(specs), read_only);
      EXPECT_KIND(store->register_blobs(blobs), read_only);
      EXPECT_KIND(store->remove_blob("a"), read_only);
      EXPECT_KIND(store->commit(transaction), read_only);
      EXPECT_KIND(store->write("a", bytes("lost")), read_only);
      EXPECT_KIND(store->write_range("a", 1, bytes("lost")), read_only);
      EXPECT_KIND(store->write_range_deferred("a", 1, bytes("lost")), read_only);
      EXPECT_KIND(store->zero_range_deferred("a", 1, 2), read_only);
      ASSERT_OK(store->flush()); // Nothing waits.
      EXPECT_KIND(store->checkpoint(), read_only);
      EXPECT_KIND(store->seal(), read_only);
      EXPECT_KIND(store->unseal(), read_only);
      EXPECT_KIND(store->adopt_after_fork(), read_only);
      Status called;
      store->commit_async(std::move(transaction),
                          [&](Status status) { called = std::move(status); });
      EXPECT_EQ(store->info().sealed, sealed);
      EXPECT_EQ(*store->read("a"), bytes("kept"));
      ASSERT_OK(store->close()); // Which waits for the callback.
      EXPECT_KIND(called, read_only);
      EXPECT_EQ(disk_->bytes(), before);
    }
  }
}

TEST_F(ReadOnly, EveryCallOnADeviceThatCannotBeWrittenRefuses) {
  const Bytes before = disk_->bytes();
  const auto read_only = [&] { return std::make_unique<MemoryDevice>(disk_, Access::read_only); };
  EXPECT_KIND(create_image(*read_only(), {.blobs = {}, .force = true}), read_only);
  EXPECT_KIND(resize_image(*read_only(), std::uint64_t{4} << 20U), read_only);
  EXPECT_KIND(seal_image(read_only()), read_only);
  EXPECT_KIND(unseal_image(read_only()), read_only);
  EXPECT_KIND(repair_image(*read_only()), read_only);
  EXPECT_KIND(discard_stray_record(*read_only()), read_only);
  EXPECT_KIND(Store::open(read_only(), inline_options()), read_only);
  EXPECT_EQ(disk_->bytes(), before);
}

} // namespace
} // namespace vnvram
