// State that was handed over: who may write, and who may not.
#include "format/layout.h"
#include "unit/store/hooked_device.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

class Seal : public StoreFixture {
protected:
  static OpenOptions accepting() {
    OpenOptions options = inline_options();
    options.accept_sealed = true;
    return options;
  }
  void unseal_offline() { ASSERT_OK(unseal_image(std::make_unique<MemoryDevice>(disk_))); }
};

TEST_F(Seal, RefusesCommitsAndOpenersUntilItIsTakenOff) {
  create({spec("a", 100)});
  auto store = open();
  ASSERT_OK(store->write("a", bytes("handed over")));
  const std::uint64_t generation = store->info().generation;
  ASSERT_OK(store->seal());
  ASSERT_OK(store->seal());
  EXPECT_TRUE(store->info().sealed);
  EXPECT_KIND(store->write("a", bytes("forked")), sealed);
  EXPECT_KIND(store->register_blobs(std::vector{spec("b", 10)}), sealed);
  EXPECT_EQ(*store->read("a"), bytes("handed over"));
  ASSERT_OK(store->close());
  store.reset();

  EXPECT_KIND(try_open(), sealed);
  auto reader = open_read_only();
  EXPECT_TRUE(reader->info().sealed);
  EXPECT_EQ(*reader->read("a"), bytes("handed over"));
  reader.reset();

  store = open(accepting());
  EXPECT_EQ(store->info().generation, generation);
  EXPECT_KIND(store->write("a", bytes("forked")), sealed);
  ASSERT_OK(store->unseal());
  ASSERT_OK(store->write("a", bytes("ours again")));
  store.reset();
  EXPECT_EQ(*open()->read("a"), bytes("ours again"));
}

TEST_F(Seal, OutlivesACrashAndEitherSuperblock) {
  create({spec("a", 100)});
  auto store = open();
  ASSERT_OK(store->write("a", bytes("x")));
  ASSERT_OK(store->seal());
  const std::vector<std::byte> sealed = disk_->bytes();
  store.reset();
  for (std::size_t copy = 0; copy < format::superblock_count; ++copy) {
    disk_ = std::make_shared<MemoryDisk>(sealed);
    disk_->bytes().at((copy * block_size_bytes) + 100) ^= std::byte{1};
    EXPECT_KIND(try_open(), sealed);
  }
}

TEST_F(Seal, TheOperatorsWordTakesItOff) {
  create({spec("a", 100)});
  auto store = open();
  ASSERT_OK(store->seal());
  store->abandon();
  store.reset();
  unseal_offline();
  unseal_offline(); // Harmless.
  ASSERT_OK(open()->write("a", bytes("goes on")));
  ASSERT_OK(seal_image(std::make_unique<MemoryDevice>(disk_)));
  ASSERT_OK(seal_image(std::make_unique<MemoryDevice>(disk_)));
  EXPECT_KIND(try_open(), sealed);
}

TEST_F(Seal, AFailedMarkStillRefusesCommits) {
  create({spec("a", 100)});
  auto hook = std::make_shared<HookedDevice::Hook>();
  auto store = Store::open(std::make_unique<HookedDevice>(disk_, hook), inline_options());
  ASSERT_OK(store);
  *hook = [](HookedDevice::Call call, std::uint64_t, std::span<const std::byte>) {
    return call == HookedDevice::Call::write_durable
               ? Status(Error(ErrorKind::io, "hooked: write failed"))
               : Status{};
  };
  EXPECT_KIND((*store)->seal(), io);
  *hook = nullptr;
  EXPECT_FALSE((*store)->write("a", bytes("forked")).ok());
}

} // namespace
} // namespace vnvram
