// One image that two owners see: whose it is, what waits meanwhile, and what is lost by nobody.
#include "owner/shared_image.h"

#include <memory>
#include <optional>
#include <string>

#include "support/temporary_directory.h"
#include "unit/store/hooked_device.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

using Purpose = StoreGate::Purpose;
using Standing = SharedImage::Standing;

HandOverNumber number(unsigned value) {
  HandOverNumber made;
  made.bytes.front() = static_cast<std::byte>(value);
  return made;
}

/// An owner without its sessions.
struct Owner {
  explicit Owner(const std::string& location) : shared(keeper, location) {}

  Status write(std::string_view text) {
    std::optional<Result<StoreUse>> store = keeper.try_to_change();
    if (!store) {
      return Error(ErrorKind::in_use, "it has to wait");
    }
    return *store ? (**store)->write("a", bytes(text)) : store->error();
  }
  Bytes content() {
    Result<StoreUse> store = keeper.use(Purpose::read);
    return store ? *(*store)->read("a") : Bytes();
  }

  ImageKeeper keeper{{}};
  SharedImage shared;
};

class SharedImageTest : public testing::Test {
protected:
  void SetUp() override {
    CreateOptions options;
    options.blobs = {{.spec = spec("a", 100)}};
    ASSERT_OK(create_image_file(location_, 4U << 20U, options));
    ASSERT_OK(source_.keeper.attach({.location = location_}));
    ASSERT_OK(source_.write("one"));
  }
  /// With an image, to be opened by two at a time.
  static std::shared_ptr<MemoryDisk> disk_without_a_lock() {
    auto disk = std::make_shared<MemoryDisk>(std::uint64_t{4} << 20U);
    CreateOptions options;
    options.blobs = {{.spec = spec("a", 100)}};
    MemoryDevice created(disk);
    EXPECT_OK(create_image(created, options));
    return disk;
  }
  void must_have(Owner& owner, std::string_view text) {
    EXPECT_EQ(owner.shared.standing(), Standing::ours);
    EXPECT_EQ(owner.content(), bytes(text));
    EXPECT_OK(owner.write(text));
  }

  const test::TemporaryDirectory folder_;
  const std::string location_ = folder_.path("shared");
  Owner source_{location_};
  Owner target_{location_};
};

TEST_F(SharedImageTest, WhoStandsBySeesItAndChangesNothing) {
  ASSERT_OK(target_.shared.stand_by());
  EXPECT_EQ(target_.content(), bytes("one"));
  EXPECT_KIND(target_.write("two"), in_use);
  EXPECT_KIND(target_.keeper.hold(), in_use);
  target_.keeper.release(); // Of a hold that there is not.
  EXPECT_KIND(target_.write("two"), in_use);
  EXPECT_KIND(target_.shared.begin(), sealed);
  EXPECT_KIND(target_.shared.go_on({.hand_over = number(1)}), in_use);
  must_have(source_, "one");
  ASSERT_OK(source_.write("three"));
  ASSERT_OK(target_.shared.see_anew());
  EXPECT_EQ(target_.content(), bytes("three"));
}

TEST_F(SharedImageTest, ItGoesToWhoHasTheNumber) {
  ASSERT_OK(target_.shared.stand_by());
  const auto epoch = source_.shared.hand_over(number(1));
  ASSERT_OK(epoch);
  EXPECT_EQ(source_.shared.standing(), Standing::elsewhere);
  EXPECT_TRUE(source_.shared.has_all());
  EXPECT_KIND(source_.write("two"), in_use);
  EXPECT_KIND(target_.shared.go_on({.hand_over = number(2)}), sealed);
  ASSERT_OK(target_.shared.go_on({.hand_over = number(1)}));
  EXPECT_EQ(target_.shared.standing(), Standing::came);
  EXPECT_KIND(target_.write("two"), in_use); // It can be taken back still.
  ASSERT_OK(target_.shared.begin());
  must_have(target_, "one");
  // The source finds that out, and its devices are told so.
  EXPECT_KIND(source_.shared.go_on({.hand_over = number(1), .own_epoch = *epoch}), stale);
  EXPECT_EQ(source_.shared.standing(), Standing::gone);
  EXPECT_KIND(source_.write("two"), sealed);
  ASSERT_OK(source_.shared.see()); // A machine that comes back reads it before it is there.
  EXPECT_EQ(source_.content(), bytes("one"));
  EXPECT_KIND(source_.write("two"), sealed);
  must_have(target_, "one");
}

TEST_F(SharedImageTest, ItIsTakenBackUnlessSomebodyHasGoneOn) {
  ASSERT_OK(target_.shared.stand_by());
  const auto epoch = source_.shared.hand_over(number(1));
  ASSERT_OK(epoch);
  ASSERT_OK(target_.shared.go_on({.hand_over = number(1)}));
  ASSERT_OK(target_.shared.leave()); // As after a power-on that has failed.
  EXPECT_EQ(target_.shared.standing(), Standing::elsewhere);
  EXPECT_KIND(source_.write("two"), in_use);
  ASSERT_OK(source_.shared.go_on({.hand_over = number(1), .own_epoch = *epoch}));
  ASSERT_OK(source_.shared.begin());
  must_have(source_, "one");
  EXPECT_KIND(target_.shared.go_on({.hand_over = number(1)}), in_use);
}

TEST_F(SharedImageTest, AnOwnerThatComesAfterOneThatDiedLetsGoAnew) {
  ASSERT_OK(source_.shared.hand_over(number(1)));
  Owner next(location_);
  ASSERT_OK(next.shared.stand_by(SharedImage::Before::owner_of_it));
  ASSERT_OK(next.shared.hand_over(number(1))); // Asked again, since it had no answer.
  EXPECT_EQ(next.shared.standing(), Standing::elsewhere);
  ASSERT_OK(target_.shared.stand_by());
  ASSERT_OK(target_.shared.go_on({.hand_over = number(1)}));
  ASSERT_OK(target_.shared.begin());
  EXPECT_KIND(next.shared.hand_over(number(1)), stale);
  must_have(target_, "one");
}

TEST_F(SharedImageTest, ItIsTakenBackByWhoHasLetItGo) {
  ASSERT_OK(target_.shared.stand_by());
  EXPECT_KIND(target_.shared.take_back(), sealed); // It was not there.
  ASSERT_OK(source_.shared.take_back());           // Nothing: it is here.
  ASSERT_OK(source_.shared.hand_over(number(1)));
  EXPECT_EQ(source_.shared.let_go_for(), number(1));
  EXPECT_EQ(target_.shared.let_go_for(), std::nullopt);
  EXPECT_KIND(target_.shared.take_back(), sealed);
  ASSERT_OK(source_.shared.take_back());
  EXPECT_EQ(source_.shared.let_go_for(), std::nullopt);
  ASSERT_OK(source_.shared.begin());
  must_have(source_, "one");

  ASSERT_OK(source_.shared.hand_over(number(2)));
  ASSERT_OK(target_.shared.see_anew());
  ASSERT_OK(target_.shared.go_on({.hand_over = number(2)}));
  ASSERT_OK(target_.shared.begin());
  target_.keeper.abandon(); // Without its lock: what is found is the epoch.
  EXPECT_KIND(source_.shared.take_back(), stale);
  EXPECT_EQ(source_.shared.standing(), Standing::gone);
  EXPECT_KIND(source_.shared.go_on({.hand_over = number(2)}), stale);
  EXPECT_KIND(source_.shared.hand_over(number(2)), stale);
  EXPECT_KIND(source_.write("two"), sealed);
}

TEST_F(SharedImageTest, AnOwnerThatComesAfterOneThatDiedTakesBack) {
  ASSERT_OK(source_.shared.hand_over(number(1)));
  Owner next(location_);
  ASSERT_OK(next.shared.stand_by(SharedImage::Before::owner_of_it));
  EXPECT_KIND(next.shared.take_back(), sealed); // It may be another one's.
  next.shared.is_seen_as_left();
  EXPECT_EQ(next.shared.let_go_for(), number(1));
  EXPECT_KIND(next.write("two"), in_use); // That is this machine's.
  ASSERT_OK(next.shared.take_back());
  ASSERT_OK(next.shared.begin());
  must_have(next, "one");
  EXPECT_KIND(target_.keeper.attach({.location = location_}), in_use);
}

TEST_F(SharedImageTest, WhatIsHeldIsNotHandedOver) {
  ASSERT_OK(source_.keeper.hold());
  EXPECT_KIND(source_.shared.hand_over(number(1)), in_use);
  EXPECT_EQ(source_.shared.standing(), Standing::ours);
  source_.keeper.release();
  must_have(source_, "one");
  EXPECT_FALSE(source_.keeper.info().sealed);
}

// What waits is of the machine that was here before, and older than what has come.
TEST_F(SharedImageTest, WhatWaitsIsNotWrittenOverWhatComesFromElsewhere) {
  ASSERT_OK(target_.shared.stand_by());
  ASSERT_OK(source_.shared.hand_over(number(1)));
  EXPECT_KIND(source_.write("old"), in_use);
  ASSERT_OK(target_.shared.go_on({.hand_over = number(1)}));
  ASSERT_OK(target_.shared.begin());
  ASSERT_OK(target_.write("new"));
  ASSERT_OK(target_.shared.hand_over(number(2)));
  EXPECT_KIND(source_.shared.go_on({.hand_over = number(2)}), unsupported);
  ASSERT_OK(target_.shared.go_on({.hand_over = number(2)})); // It is taken back.
  ASSERT_OK(target_.shared.begin());
  must_have(target_, "new");
}

TEST_F(SharedImageTest, WhatWaitsIsRefusedWhenNobodyGoesOnHere) {
  ASSERT_OK(target_.shared.stand_by());
  EXPECT_KIND(target_.write("two"), in_use);
  target_.shared.give_up();
  EXPECT_KIND(target_.write("two"), sealed);
  EXPECT_TRUE(target_.shared.has_all());
  source_.shared.give_up(); // It has the image.
  must_have(source_, "one");
}

TEST_F(SharedImageTest, WhoIsOvertakenBeforeTheSealLetsGo) {
  const auto disk = disk_without_a_lock();
  const auto hook = std::make_shared<HookedDevice::Hook>();
  const auto unlocked = [&] { return std::make_unique<HookedDevice>(disk, hook, false); };
  Owner here("disk");
  Owner there("disk");
  ASSERT_OK(here.keeper.attach(unlocked(), {.location = "disk"}));
  ASSERT_OK(there.keeper.attach(unlocked(), {.location = "disk"}));
  EXPECT_KIND(here.shared.hand_over(number(1)), stale);
  EXPECT_EQ(here.shared.standing(), Standing::gone);
  EXPECT_KIND(here.write("two"), sealed);
}

// It is there, though nobody could be told so: that was nobody else.
TEST_F(SharedImageTest, WhoCouldNotWriteHasNotLostIt) {
  const auto disk = disk_without_a_lock();
  MemoryDevice medium(disk);
  const auto hook = std::make_shared<HookedDevice::Hook>();
  Owner here("disk");
  ASSERT_OK(
      here.keeper.attach(std::make_unique<HookedDevice>(disk, hook, false), {.location = "disk"}));
  *hook = [&](HookedDevice::Call call, std::uint64_t offset_bytes,
              std::span<const std::byte> data) {
    if (call != HookedDevice::Call::write_durable) {
      return Status();
    }
    EXPECT_OK(medium.write_durable(offset_bytes, data));
    return Status(Error(ErrorKind::io, "hooked: written, and not answered"));
  };
  EXPECT_KIND(here.write("two"), io);
  *hook = nullptr;
  EXPECT_KIND(here.shared.check_ours(), io);
  EXPECT_EQ(here.shared.standing(), Standing::ours);
}

TEST_F(SharedImageTest, WhatHasComeIsGivenUpAsWell) {
  ASSERT_OK(target_.shared.stand_by());
  ASSERT_OK(source_.shared.hand_over(number(1)));
  ASSERT_OK(target_.shared.go_on({.hand_over = number(1)}));
  EXPECT_KIND(target_.write("two"), in_use);
  target_.shared.end();
  EXPECT_KIND(target_.write("two"), sealed);
  ASSERT_OK(source_.shared.go_on({.hand_over = number(1)}));
}

TEST_F(SharedImageTest, WhatIsLetGoBehindTheEndIsGivenUp) {
  source_.shared.end();
  must_have(source_, "one");
  ASSERT_OK(source_.shared.hand_over(number(1)));
  EXPECT_KIND(source_.write("two"), sealed);
  EXPECT_KIND(source_.shared.go_on({.hand_over = number(1)}), sealed);
  ASSERT_OK(target_.shared.stand_by());
  ASSERT_OK(target_.shared.go_on({.hand_over = number(1)}));
}

TEST_F(SharedImageTest, WhoWasOvertakenLetsGoAndHasNotAll) {
  Owner other(location_);
  source_.keeper.abandon(); // As if its lock were none.
  ASSERT_OK(other.keeper.attach({.location = location_}));
  EXPECT_OK(other.shared.check_ours());
  EXPECT_FALSE(other.shared.has_all());
}

} // namespace
} // namespace vnvram
