// An owner that is overtaken while it exchanges the data key, where no lock keeps the two apart.
#include <functional>
#include <utility>

#include "format/layout.h"
#include "support/skipping_clock.h"
#include "unit/keys/key_fixture.h"
#include "unit/store/hooked_device.h"
#include "unit/store/store_fixture.h"
#include "vnvram/key_rotation.h"

namespace vnvram {
namespace {

using Call = HookedDevice::Call;

constexpr std::uint64_t shared_image_size_bytes = std::uint64_t{512} << 10U;
constexpr std::uint64_t shared_ring_size_bytes = std::uint64_t{64} << 10U;

class ExchangeOwnership : public StoreFixture {
protected:
  void SetUp() override {
    CreateOptions options;
    options.ring_size_bytes = shared_ring_size_bytes;
    options.blobs = {{.spec = spec("a", 9000), .content = pattern(9000, 1)}};
    options.key_slots = {test::new_slot(key_)};
    disk_ = std::make_shared<MemoryDisk>(shared_image_size_bytes);
    MemoryDevice fresh(disk_);
    ASSERT_OK(create_image(fresh, options));
    image_ = disk_->bytes();
  }

  std::unique_ptr<Store> open_hooked(std::shared_ptr<HookedDevice::Hook> hook) {
    OpenOptions options = inline_options();
    options.clock = &clock_;
    options.keys = KeyRing({test::source(key_)});
    auto device = std::make_unique<HookedDevice>(disk_, std::move(hook), false);
    device->set_capabilities({.write = true});
    auto store = Store::open(std::move(device), std::move(options));
    EXPECT_TRUE(store.ok()) << store.error().text();
    return store ? *std::move(store) : nullptr;
  }

  using Moment = std::function<bool(Call call, std::uint64_t offset_bytes)>;
  struct Overtaken {
    bool came = false;
    Status exchanged;
    Bytes before; ///< The first one's exchange went on.
    std::unique_ptr<Store> second;
  };
  /// Of a fresh image: a second owner comes, and commits, at the count-th of these moments of an
  /// exchange.
  Overtaken overtake(const Moment& moment, unsigned count) {
    disk_ = std::make_shared<MemoryDisk>(image_);
    const auto hook = std::make_shared<HookedDevice::Hook>();
    Overtaken result;
    const auto first = open_hooked(hook);
    EXPECT_OK(first->write("a", pattern(9000, 2)));
    *hook = [&](Call call, std::uint64_t offset_bytes, std::span<const std::byte>) {
      if (!result.came && moment(call, offset_bytes) && --count == 0) {
        result.came = true;
        result.second = open_hooked(std::make_shared<HookedDevice::Hook>());
        EXPECT_OK(result.second->write("a", pattern(9000, 3)));
        result.before = disk_->bytes();
      }
      return Status();
    };
    const auto left_out = first->rotate_data_key({.holders = {test::source(key_)}});
    result.exchanged = left_out ? Status() : left_out.error();
    *hook = nullptr;
    return result;
  }

  test::SkippingClock clock_;
  test::KeyFiles files_;
  std::string key_ = files_.file("the key of this host: 16 bytes or more");
  Bytes image_;
};

// Of the ring, too, which is overwritten last.
TEST_F(ExchangeOwnership, ItsProgressIsWholeWhenAllIsWritten) {
  const auto hook = std::make_shared<HookedDevice::Hook>();
  const auto store = open_hooked(hook);
  ASSERT_OK(store->write("a", pattern(9000, 2)));
  std::uint64_t done = 0;
  std::uint64_t all = 1;
  *hook = [&](Call call, std::uint64_t /*offset_bytes*/, std::span<const std::byte>) {
    EXPECT_TRUE(done < all || call != Call::write);
    return Status();
  };
  ASSERT_OK(
      store->rotate_data_key({.holders = {test::source(key_)},
                              .progress = [&](std::uint64_t done_bytes, std::uint64_t all_bytes) {
                                EXPECT_GE(done_bytes, done);
                                done = done_bytes;
                                all = all_bytes;
                              }}));
  EXPECT_EQ(done, all);
  *hook = nullptr;
}

TEST_F(ExchangeOwnership, AnOvertakenOwnerWritesNoKeySlots) {
  unsigned refused = 0;
  for (unsigned count = 1;; ++count) {
    const Overtaken it = overtake(
        [](Call call, std::uint64_t offset_bytes) {
          return call == Call::read && offset_bytes >= 2 * block_size_bytes &&
                 offset_bytes < 18 * block_size_bytes;
        },
        count);
    if (!it.came) {
      break;
    }
    SCOPED_TRACE(count);
    EXPECT_EQ(disk_->bytes(), it.before);
    if (!it.exchanged.ok()) { // Else it has found nothing left to do.
      EXPECT_KIND(it.exchanged, in_use);
      ++refused;
    }
  }
  EXPECT_GT(refused, 4U); // Both copies, twice.
}

TEST_F(ExchangeOwnership, AnOvertakenOwnerOverwritesNoRecord) {
  const auto writes_a_home = [](Call call, std::uint64_t offset_bytes) {
    return call == Call::write &&
           offset_bytes >= (format::ring_start_block * block_size_bytes) + shared_ring_size_bytes;
  };
  unsigned count = 1;
  for (;; ++count) {
    Overtaken it = overtake(writes_a_home, count);
    if (!it.came) {
      break;
    }
    SCOPED_TRACE(count);
    EXPECT_KIND(it.exchanged, in_use);
    it.second.reset();
    const auto third = open_hooked(std::make_shared<HookedDevice::Hook>());
    ASSERT_NE(third, nullptr);
    EXPECT_EQ(third->read("a").value(), pattern(9000, 3));
  }
  EXPECT_GT(count, 50U);
}

} // namespace
} // namespace vnvram
