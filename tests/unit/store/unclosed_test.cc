// Images that an owner on another host has not closed, where no lock says whether it has ended.
#include <cstring>
#include <utility>

#include "format/codec.h"
#include "format/layout.h"
#include "store/superblock_reader.h"
#include "unit/store/hooked_device.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

class Unclosed : public StoreFixture {
protected:
  static constexpr DeviceCapabilities nbd_export{
      .write = true, .unseen_owners = true, .content_may_change = true};
  static constexpr DeviceCapabilities block_device{
      .write = true, .lock = true, .unseen_owners = true};
  static constexpr DeviceCapabilities file{.write = true, .lock = true};
  static constexpr DeviceCapabilities qemus_drive{.write = true, .content_may_change = true};

  void SetUp() override {
    create({spec("a", 100)});
    auto store = open();
    ASSERT_OK(store->write("a", bytes("kept")));
    static_cast<void>(store->abandon());
  }

  /// The same owner, elsewhere.
  void was_of(const char* host) {
    MemoryDevice medium = device();
    for (unsigned copy = 0; copy < format::superblock_count; ++copy) {
      format::Superblock superblock = *find_superblock(medium);
      superblock.owner_host = {};
      std::strncpy(superblock.owner_host.data(), host, superblock.owner_host.size() - 1);
      ++superblock.sequence;
      const unsigned other = 1 - superblock.copy;
      format::Codec(superblock).finish(superblock, other);
      ASSERT_OK(medium.write_durable(format::Geometry::superblock_block(other) * block_size_bytes,
                                     std::as_bytes(std::span(&superblock, 1))));
    }
  }

  Result<std::unique_ptr<Store>> open_on(const DeviceCapabilities& can,
                                         OpenOptions options = inline_options()) {
    auto hooked = std::make_unique<HookedDevice>(disk_, hook_, false);
    hooked->set_capabilities(can);
    return Store::open(std::move(hooked), std::move(options));
  }

  std::shared_ptr<HookedDevice::Hook> hook_ = std::make_shared<HookedDevice::Hook>();
};

TEST_F(Unclosed, ItIsRefusedWhereNoLockTells) {
  was_of("another-host");
  const auto before = copy_of_disk();
  for (const DeviceCapabilities& can : {nbd_export, block_device}) {
    const auto refused = open_on(can);
    EXPECT_KIND(refused, in_use);
    EXPECT_NE(refused.error().cause().find("on another-host has not closed it"), std::string::npos);
    EXPECT_NE(refused.error().remedy().find("`takeover`"), std::string::npos);
  }
  EXPECT_TRUE(copy_of_disk()->bytes() == before->bytes());
}

TEST_F(Unclosed, ItIsReadAllTheSame) {
  was_of("another-host");
  OpenOptions options = inline_options();
  options.access = Access::read_only;
  const auto store = open_on(nbd_export, options);
  ASSERT_OK(store);
  EXPECT_EQ(*(*store)->read("a"), bytes("kept"));
}

TEST_F(Unclosed, AWordOpensIt) {
  was_of("another-host");
  OpenOptions options = inline_options();
  options.accept_unclosed = true;
  {
    const auto store = open_on(nbd_export, options);
    ASSERT_OK(store);
    EXPECT_EQ(*(*store)->read("a"), bytes("kept"));
    ASSERT_OK((*store)->close());
  }
  EXPECT_OK(open_on(nbd_export)); // It is closed, or of this host.
}

TEST_F(Unclosed, ALockThatOthersSeeAndAServerOfThisHostSayEnough) {
  was_of("another-host");
  for (const DeviceCapabilities& can : {file, qemus_drive}) {
    const auto store = open_on(can);
    ASSERT_OK(store);
    static_cast<void>((*store)->abandon());
    was_of("another-host");
  }
}

TEST_F(Unclosed, OfThisHostItIsOpened) {
  for (const DeviceCapabilities& can : {nbd_export, block_device}) {
    const auto store = open_on(can);
    ASSERT_OK(store);
    static_cast<void>((*store)->abandon());
  }
}

// The host may have been called otherwise then.
TEST_F(Unclosed, WhoComesAfterAnOwnerOfTheSameMachineIsNotAsked) {
  was_of("as-it-was-called");
  OpenOptions options = inline_options();
  options.comes_after = {.epoch = open_read_only()->info().epoch};
  EXPECT_OK(open_on(nbd_export, options));
}

TEST_F(Unclosed, WhatItsOwnerHasClosedIsOpenedAnywhere) {
  ASSERT_OK(open()->close());
  was_of("another-host");
  EXPECT_OK(open_on(nbd_export));
}

TEST_F(Unclosed, ASealSaysEnough) {
  {
    auto store = open();
    ASSERT_OK(store->seal());
    static_cast<void>(store->abandon());
  }
  was_of("another-host");
  OpenOptions options = inline_options();
  options.accept_sealed = true;
  EXPECT_OK(open_on(nbd_export, options));
}

} // namespace
} // namespace vnvram
