// An owner whose device stands still.
#include <atomic>
#include <filesystem>
#include <future>
#include <thread>

#include "device/forwarding_device.h"
#include "unit/serve/raw_session.h"
#include "unit/serve/requests.h"
#include "unit/serve/served_image.h"

namespace vnvram::test {
namespace {

using std::chrono::milliseconds;

/// Writes wait while it is shut.
class ShutDevice final : public ForwardingDevice {
public:
  ShutDevice(std::unique_ptr<BlockDevice> inner, std::atomic<bool>& shut,
             std::atomic<bool>& found_shut)
      : ForwardingDevice(*inner), inner_(std::move(inner)), shut_(shut), found_shut_(found_shut) {}

  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    wait();
    return ForwardingDevice::write(offset_bytes, data);
  }
  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    wait();
    return ForwardingDevice::write_durable(offset_bytes, data);
  }

private:
  void wait() {
    if (shut_) {
      found_shut_ = true;
      found_shut_.notify_all();
    }
    shut_.wait(true);
  }

  const std::unique_ptr<BlockDevice> inner_;
  std::atomic<bool>& shut_;
  std::atomic<bool>& found_shut_;
};

class OwnerOfASlowDeviceTest : public ServedImage {
protected:
  std::unique_ptr<BlockDevice> opened(std::unique_ptr<BlockDevice> device) override {
    return std::make_unique<ShutDevice>(std::move(device), shut_, found_shut_);
  }
  void TearDown() override {
    open_device_again();
    ServedImage::TearDown();
  }
  void open_device_again() {
    shut_ = false;
    shut_.notify_all();
  }

  std::atomic<bool> shut_ = false;
  std::atomic<bool> found_shut_ = false;
};

TEST_F(OwnerOfASlowDeviceTest, AChangeThatWaitsForItsRightMayLookForItAsOftenAsItTakes) {
  disk_size_bytes_ = std::uint64_t{32} << 20U;
  serve({spec("a", 1U << 20U)});
  {
    RawSession holder(socket());
    shut_ = true;
    holder.ask([](rpc::Owner::Client& owner) { return change(owner, "a"); });
    holder.go_on(milliseconds(200), [] { return false; });
  }
  const auto next = client();
  auto written = std::async(std::launch::async, [&] {
    Transaction transaction;
    transaction.write("a", Bytes(1U << 20U, std::byte{1}));
    const auto made = next->commit(transaction);
    return made ? Status() : made.error();
  });
  for (int count = 0; count < 40; ++count) {
    ASSERT_OK(client()->state()); // Whoever ends may have had the right.
    std::this_thread::sleep_for(milliseconds(5));
  }
  open_device_again();
  ASSERT_OK(written.get());
}

TEST_F(OwnerOfASlowDeviceTest, SessionsThatWaitForTheDeviceAreNotMoreAndMore) {
  serve({spec("a", 4096)}, {.clients_max = 4});
  shut_ = true;
  const auto threads = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
  };
  const auto before = threads();
  for (int count = 0; count < 40; ++count) {
    RawSession session(socket());
    session.ask([&](rpc::Owner::Client& asked) {
      return register_blob(asked, "b" + std::to_string(count));
    });
    session.go_on(milliseconds(20), [] { return false; });
  }
  EXPECT_LE(threads() - before, 10);
  open_device_again();
}

TEST_F(OwnerOfASlowDeviceTest, WhoMakesRoomHasTheAnswerToTheCallThatIsUnderWay) {
  serve({spec("a", 4096)}, {.clients_max = 1});
  const auto owner = operators();
  shut_ = true;
  auto changed = std::async(std::launch::async,
                            [&] { return owner->change_metadata("name", "of this machine"); });
  found_shut_.wait(false);
  ASSERT_OK(client()->state()); // It is the other one that has gone.
  open_device_again();
  ASSERT_OK(changed.get());
}

} // namespace
} // namespace vnvram::test
