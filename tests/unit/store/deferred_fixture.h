// A store whose device is counted and hooked, for tests of deferred writes.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string_view>
#include <thread>

#include "support/counting_device.h"
#include "support/test_clock.h"
#include "unit/store/hooked_device.h"
#include "unit/store/store_fixture.h"

namespace vnvram {

class DeferredFixture : public StoreFixture {
protected:
  /// Commits by itself after this time of the machine's.
  static OpenOptions in_background(std::chrono::microseconds deferral) {
    OpenOptions options;
    options.deferral = deferral;
    options.idle_checkpoint_after = std::chrono::milliseconds(0);
    return options;
  }
  /// The same on the test's clock.
  OpenOptions on_test_clock(std::chrono::microseconds deferral) {
    OpenOptions options = in_background(deferral);
    options.clock = &clock_;
    return options;
  }
  /// On a device that is counted, and hooked. By default what is deferred waits until it is asked
  /// for.
  std::unique_ptr<Store> open_counted(OpenOptions options = inline_options()) {
    auto store = Store::open(std::make_unique<test::CountingDevice>(
                                 std::make_unique<HookedDevice>(disk_, hook_), counter_),
                             std::move(options));
    EXPECT_TRUE(store.ok()) << store.error().text();
    return store ? *std::move(store) : nullptr;
  }
  /// What a process finds that opens the image after a power cut now.
  Bytes after_a_cut(std::string_view blob) {
    const auto store =
        Store::open(std::make_unique<MemoryDevice>(copy_of_disk()), inline_options());
    EXPECT_TRUE(store.ok());
    return store ? *(*store)->read(blob) : Bytes{};
  }
  static void wait_until(const std::function<bool()>& happened) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!happened()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      std::this_thread::yield();
    }
  }
  /// Commits and flushes fail with io, and poison nothing, while the hook is this.
  static Status fail_reading_superblocks(HookedDevice::Call call, std::uint64_t offset_bytes,
                                         std::span<const std::byte>) {
    return call == HookedDevice::Call::read && offset_bytes < 2 * block_size_bytes
               ? Status(Error(ErrorKind::io, "hooked: read failed"))
               : Status{};
  }
  static Status fail_durable_writes(HookedDevice::Call call, std::uint64_t,
                                    std::span<const std::byte>) {
    return call == HookedDevice::Call::write_durable
               ? Status(Error(ErrorKind::io, "hooked: write failed"))
               : Status{};
  }

  test::TestClock clock_;
  std::shared_ptr<test::DeviceCounter> counter_ = std::make_shared<test::DeviceCounter>();
  std::shared_ptr<HookedDevice::Hook> hook_ = std::make_shared<HookedDevice::Hook>();
};

} // namespace vnvram
