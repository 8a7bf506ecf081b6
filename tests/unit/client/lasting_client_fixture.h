// A remote client, and an owner that a test can end and start again.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "rpc/remote_blob_client.h"
#include "unit/client/mortal_owner.h"
#include "unit/client/patience.h"

namespace vnvram::test {

inline Bytes content_of(BlobClient& client, std::string_view blob) {
  auto read = client.read_all(blob);
  EXPECT_TRUE(read.ok()) << read.error().text();
  return read ? *std::move(read) : Bytes();
}

inline std::unique_ptr<RemoteBlobClient> lasting(Connector connector,
                                                 std::chrono::milliseconds waits_for = patience) {
  auto made = RemoteBlobClient::connect({.connect = std::move(connector), .patience = waits_for});
  EXPECT_TRUE(made.ok()) << made.error().text();
  return *std::move(made);
}

class LastingClient : public ::testing::Test {
protected:
  void SetUp() override { client_ = lasting(owner_.connector()); }
  /// The last: whose calls wait gives up with the owner's connections.
  void TearDown() override { client_.reset(); }
  Status write(std::string_view text, Durability durability = Durability::on_return,
               std::uint64_t offset_bytes = 0) {
    return client_->write("a", offset_bytes, bytes(text), durability);
  }
  Bytes content(std::string_view blob = "a") { return content_of(*client_, blob); }
  std::uint64_t generation() { return client_->state()->generation; }

  struct Owner : MortalOwner {
    using MortalOwner::MortalOwner;
    Connector connector() {
      return [this] { return connect(); };
    }
  };
  // Of the device, until its owner has closed it.
  std::atomic<int> write_count_ = 0;
  std::atomic<bool> is_shut_ = false;
  Owner owner_{{spec("a", 4096), spec("b", 65536)}};
  std::unique_ptr<RemoteBlobClient> client_;
};

} // namespace vnvram::test
