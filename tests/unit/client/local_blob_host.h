// LocalBlobClient on an image in memory.
#pragma once

#include <atomic>

#include "client/local_blob_client.h"
#include "device/memory_device.h"
#include "support/expect_status.h"
#include "unit/client/blob_host.h"
#include "unit/store/hooked_device.h"

namespace vnvram::test {

/// An image in memory, open in an ImageKeeper.
class LocalBlobHost : public BlobHost {
public:
  LocalBlobHost(const std::vector<BlobSpec>& blobs, std::chrono::microseconds deferral)
      : disk_(std::make_shared<MemoryDisk>(std::uint64_t{4} << 20U)),
        keeper_({.store = {.deferral = deferral}}) {
    CreateOptions options;
    for (const BlobSpec& blob : blobs) {
      options.blobs.push_back({blob, std::nullopt});
    }
    MemoryDevice device(disk_);
    EXPECT_TRUE(create_image(device, options).ok());
    *hook_ = [this](HookedDevice::Call call, std::uint64_t, std::span<const std::byte>) {
      return broken_ && call != HookedDevice::Call::read
                 ? Status(Error(ErrorKind::io, "hooked: the device is broken"))
                 : Status();
    };
    LocalBlobHost::attach();
  }

  std::unique_ptr<BlobClient> connect() override {
    return std::make_unique<LocalBlobClient>(keeper_);
  }
  std::vector<std::byte> after_a_cut(std::string_view blob) override {
    std::vector<std::byte> content(disk_->bytes().size());
    EXPECT_TRUE(MemoryDevice(disk_, Access::read_only).read(0, content).ok());
    auto store = Store::open(
        std::make_unique<MemoryDevice>(std::make_shared<MemoryDisk>(std::move(content))),
        {.accept_sealed = true});
    EXPECT_TRUE(store.ok());
    auto read = (*store)->read(blob);
    return read ? *std::move(read) : std::vector<std::byte>();
  }
  void break_device() override { broken_ = true; }
  void seal() override { EXPECT_TRUE(keeper_.seal().ok()); }
  void unseal() override { EXPECT_TRUE(keeper_.unseal().ok()); }
  void hold() override { EXPECT_TRUE(keeper_.hold().ok()); }
  void release() override { keeper_.release(); }
  void detach() override { EXPECT_TRUE(keeper_.detach().ok()); }
  void attach() override {
    const Status attached =
        keeper_.attach(std::make_unique<HookedDevice>(disk_, hook_), {.location = "disk"});
    EXPECT_TRUE(attached.ok()) << attached.error().text();
  }
  void remove(std::string_view blob) override {
    auto store = keeper_.use(StoreGate::Purpose::change);
    ASSERT_OK(store);
    EXPECT_TRUE((*store)->remove_blob(blob).ok());
  }

protected:
  [[nodiscard]] ImageKeeper& keeper() { return keeper_; }

private:
  std::shared_ptr<MemoryDisk> disk_;
  std::atomic<bool> broken_ = false;
  std::shared_ptr<HookedDevice::Hook> hook_ = std::make_shared<HookedDevice::Hook>();
  ImageKeeper keeper_;
};

} // namespace vnvram::test
