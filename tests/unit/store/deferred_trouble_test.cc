// What becomes of deferred writes when something goes wrong while they wait.
#include "unit/store/hooked_device.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

using Call = HookedDevice::Call;

class DeferredTrouble : public StoreFixture {
protected:
  std::unique_ptr<Store> open_hooked(OpenOptions options = inline_options()) {
    auto store = Store::open(std::make_unique<HookedDevice>(disk_, hook_), std::move(options));
    EXPECT_TRUE(store.ok()) << store.error().text();
    return store ? *std::move(store) : nullptr;
  }
  /// The next look at the superblocks, which each commit begins with, fails; and that is all.
  void fail_to_look_once() {
    *hook_ = [failed = false](Call call, std::uint64_t offset_bytes, auto) mutable -> Status {
      if (call != Call::read || offset_bytes != 0 || failed) {
        return {};
      }
      failed = true;
      return Error(ErrorKind::io, "not this time");
    };
  }
  /// What whoever opens the image after a power cut now reads.
  Bytes after_a_cut(std::string_view blob) {
    forget_owner();
    return *open_read_only()->read(blob);
  }

  std::shared_ptr<HookedDevice::Hook> hook_ = std::make_shared<HookedDevice::Hook>();
};

TEST_F(DeferredTrouble, AFlushAfterOneThatFailedIsForAllThatWasWritten) {
  create({spec("a", 100)});
  auto store = open_hooked();
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("first")));
  fail_to_look_once();
  ASSERT_FALSE(store->flush().ok());
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("other")));
  ASSERT_OK(store->flush());
  EXPECT_EQ(after_a_cut("a"), bytes("other"));
}

TEST_F(DeferredTrouble, ACommitAfterOneThatFailedComesAfterAllThatWasWritten) {
  create({spec("a", 100)});
  auto store = open_hooked();
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("first")));
  fail_to_look_once();
  ASSERT_FALSE(store->flush().ok());
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("other")));
  ASSERT_OK(store->write_range("a", 0, bytes("last!")));
  EXPECT_EQ(*store->read("a"), bytes("last!"));
  EXPECT_EQ(after_a_cut("a"), bytes("last!"));
}

TEST_F(DeferredTrouble, CloseSaysWhenWhatWasDeferredIsLost) {
  create({spec("a", 100)});
  auto store = open_hooked();
  ASSERT_OK(store->write_range_deferred("a", 0, bytes("first")));
  fail_to_look_once();
  EXPECT_FALSE(store->close().ok());
}

TEST_F(DeferredTrouble, AWriteToABlobThatIsRemovedMeanwhileHoldsUpNobody) {
  create({spec("a", 100), spec("b", 100)});
  auto store = open_hooked();
  bool wrote = false;
  *hook_ = [&](Call call, auto, auto) -> Status {
    if (call == Call::write_durable && !wrote) {
      wrote = true; // The record of the removal is on its way.
      EXPECT_TRUE(store->write_range_deferred("a", 0, bytes("too late")).ok());
    }
    return {};
  };
  ASSERT_OK(store->remove_blob("a"));
  ASSERT_TRUE(wrote);
  ASSERT_OK(store->write("b", bytes("goes on")));
  ASSERT_OK(store->register_blobs(std::vector{spec("a", 100)}));
  EXPECT_EQ(*store->read("a"), Bytes());
  ASSERT_OK(store->close());
  EXPECT_EQ(*open_read_only()->read("a"), Bytes());
}

} // namespace
} // namespace vnvram
