// An image in memory whose owner, in this process, serves it on a socket.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "device/memory_device.h"
#include "rpc/owner_client.h"
#include "rpc/owner_link.h"
#include "rpc/remote_blob_client.h"
#include "rpc/socket_connection.h"
#include "serve/owner_server.h"
#include "support/expect_status.h"
#include "support/temporary_directory.h"
#include "support/test_clock.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {

class ServedImage : public ::testing::Test {
protected:
  /// With these blobs, never written.
  void serve(const std::vector<BlobSpec>& blobs, ConnectionLimits limits = {}) {
    CreateOptions options;
    options.key_slots = key_slots_;
    for (const BlobSpec& blob : blobs) {
      options.blobs.push_back({blob, std::nullopt});
    }
    disk_ = std::make_shared<MemoryDisk>(disk_size_bytes_);
    auto device = std::make_unique<MemoryDevice>(disk_);
    ASSERT_OK(create_image(*device, options));
    ASSERT_OK(keeper_.attach(opened(std::move(device)), {.location = "disk"}));
    auto listener = Listener::open(*parse_socket_address("unix:" + path_), {});
    ASSERT_OK(listener);
    listener_.emplace(*std::move(listener));
    auto server = OwnerServer::start({.keeper = keeper_,
                                      .location = "disk",
                                      .listener = *listener_,
                                      .limits = limits,
                                      .clock = clock_,
                                      .log = log_,
                                      .rates = rates_,
                                      .takes_over = takes_over_,
                                      .renew_front_ends = renew_front_ends_,
                                      .departure = departure_});
    ASSERT_OK(server);
    server_ = *std::move(server);
  }
  void TearDown() override { server_.reset(); }
  /// What the owner uses in its place.
  virtual std::unique_ptr<BlockDevice> opened(std::unique_ptr<BlockDevice> device) {
    return device;
  }

  static Status put(BlobClient& client, std::string_view blob, std::string_view text) {
    return client.write(blob, 0, bytes(text), Durability::on_return);
  }
  [[nodiscard]] UniqueFd socket() const {
    Result<UniqueFd> connected = connect_to_socket(path_, "");
    EXPECT_TRUE(connected.ok()) << connected.error().text();
    return *std::move(connected);
  }
  [[nodiscard]] std::unique_ptr<RemoteBlobClient> client() const {
    auto made = RemoteBlobClient::connect(socket());
    EXPECT_TRUE(made.ok()) << made.error().text();
    return *std::move(made);
  }
  /// Within a minute.
  static bool has_sessions(OwnerClient& owner, std::size_t count) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (owner.status()->sessions.size() != count) {
      if (std::chrono::steady_clock::now() > until) {
        return false;
      }
      std::this_thread::yield();
    }
    return true;
  }
  [[nodiscard]] std::unique_ptr<OwnerClient> operators() const {
    auto made = OwnerClient::connect(socket());
    EXPECT_TRUE(made.ok()) << made.error().text();
    return *std::move(made);
  }
  /// For what no client of ours asks.
  [[nodiscard]] std::unique_ptr<OwnerLink> link() const {
    auto made = OwnerLink::open(socket());
    EXPECT_TRUE(made.ok()) << made.error().text();
    return *std::move(made);
  }

  std::uint64_t disk_size_bytes_ = std::uint64_t{4} << 20U;
  std::vector<NewKeySlot> key_slots_; ///< Of an image that is to be encrypted.
  KeyRing keys_;                      ///< What its owner has.
  std::shared_ptr<MemoryDisk> disk_;
  bool takes_over_ = false; ///< From an owner that has died.
  std::function<Status()> renew_front_ends_;
  Departure::Setup departure_;        ///< Nobody moves it, unless said otherwise.
  TemporaryDirectory folder_{"/tmp"}; // A socket's path is short.
  std::string path_ = folder_.path("control");
  Log log_{"test", LogLevel::error};
  SessionRates rates_;
  TestClock clock_;
  ImageKeeper keeper_{{.store = {.keys = keys_}}};
  std::optional<Listener> listener_;
  std::unique_ptr<OwnerServer> server_;
};

} // namespace vnvram::test
