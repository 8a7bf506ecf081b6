// An owner in this process that serves an image in memory, and dies as a process does.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/system_clock.h"
#include "device/memory_device.h"
#include "rpc/owner_client.h"
#include "rpc/socket_connection.h"
#include "serve/owner_server.h"
#include "support/expect_status.h"
#include "support/temporary_directory.h"
#include "unit/store/hooked_device.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {

class MortalOwner {
public:
  /// It runs. With these blobs, never written; `deferral`: how long deferred writes may wait.
  explicit MortalOwner(const std::vector<BlobSpec>& blobs,
                       std::chrono::microseconds deferral = std::chrono::hours(1))
      : deferral_(deferral) {
    disk_ = make_disk(blobs);
    start();
  }
  /// An image that no owner has.
  static std::shared_ptr<MemoryDisk> make_disk(const std::vector<BlobSpec>& blobs) {
    auto disk = std::make_shared<MemoryDisk>(std::uint64_t{4} << 20U);
    CreateOptions options;
    for (const BlobSpec& blob : blobs) {
      options.blobs.push_back({blob, std::nullopt});
    }
    MemoryDevice device(disk);
    EXPECT_TRUE(create_image(device, options).ok());
    return disk;
  }

  /// On the same socket.
  void start() {
    keeper_.emplace(ImageKeeper::Setup{.store = {.deferral = deferral_}});
    EXPECT_TRUE(
        keeper_->attach(std::make_unique<HookedDevice>(disk_, hook_), {.location = "disk"}).ok());
    auto listener = Listener::open(*parse_socket_address("unix:" + path_), {});
    ASSERT_OK(listener);
    listener_.emplace(*std::move(listener));
    server_ = *OwnerServer::start({.keeper = *keeper_,
                                   .location = "disk",
                                   .listener = *listener_,
                                   .limits = {},
                                   .clock = clock_,
                                   .log = log_});
    is_there_ = true;
  }
  /// What it has not written is gone. Nobody may hear of it any more who was connected.
  void kill() {
    is_there_ = false;
    disk_ = std::make_shared<MemoryDisk>(disk_->copy()); // What is written from now on is lost.
    server_.reset();
    listener_.reset();
    keeper_.reset();
  }
  void end_in_good_order() {
    is_there_ = false;
    server_.reset();
    listener_.reset();
    EXPECT_TRUE(keeper_->detach().ok());
    keeper_.reset();
  }

  [[nodiscard]] Result<UniqueFd> connect() const {
    return is_there_ ? connect_to_socket(path_, "start it")
                     : Error(ErrorKind::absent, "no owner is there");
  }
  [[nodiscard]] std::shared_ptr<MemoryDisk> copy_of_disk() const {
    return std::make_shared<MemoryDisk>(disk_->copy());
  }
  /// While it is dead.
  void put_in_place(std::shared_ptr<MemoryDisk> disk) { disk_ = std::move(disk); }
  [[nodiscard]] ImageKeeper& keeper() { return *keeper_; }
  /// Asked before each call of its device.
  void set_hook(HookedDevice::Hook hook) { *hook_ = std::move(hook); }
  [[nodiscard]] std::unique_ptr<OwnerClient> operators() const {
    return *OwnerClient::connect(*connect());
  }
  /// As an owner finds it that comes after a power cut now.
  [[nodiscard]] Bytes after_a_cut(std::string_view blob) const {
    auto store = Store::open(std::make_unique<MemoryDevice>(copy_of_disk()), {});
    EXPECT_TRUE(store.ok());
    auto read = (*store)->read(blob);
    return read ? *std::move(read) : Bytes();
  }

private:
  TemporaryDirectory folder_{"/tmp"}; // A socket's path is short.
  const std::string path_ = folder_.path("control");
  const std::chrono::microseconds deferral_;
  Log log_{"test", LogLevel::error};
  SystemClock clock_;
  std::atomic<bool> is_there_ = false;
  std::shared_ptr<HookedDevice::Hook> hook_ = std::make_shared<HookedDevice::Hook>();
  std::shared_ptr<MemoryDisk> disk_;
  std::optional<ImageKeeper> keeper_;
  std::optional<Listener> listener_;
  std::unique_ptr<OwnerServer> server_;
};

} // namespace vnvram::test
