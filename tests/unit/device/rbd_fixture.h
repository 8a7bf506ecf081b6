// Devices in a cluster that all tests of a program share.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "device/rbd_device.h"
#include "device/rbd_new_image.h"
#include "support/ceph_cluster.h"
#include "support/expect_status.h"

namespace vnvram {

using Bytes = std::vector<std::byte>;

constexpr std::uint64_t rbd_size_bytes = std::uint64_t{8} << 20U;

inline Bytes blocks_of(unsigned value, std::size_t count = 1) {
  return Bytes(count * block_size_bytes, static_cast<std::byte>(value));
}

class RbdTest : public testing::Test {
protected:
  static void SetUpTestSuite() { start_cluster(test::CephCluster::Osd::dies); }
  static void TearDownTestSuite() { cluster_.reset(); }
  static void start_cluster(test::CephCluster::Osd osd) {
    cluster_ = std::make_unique<test::CephCluster>(osd);
  }
  static test::CephCluster& cluster() { return *cluster_; }
  static bool has_cluster() { return cluster_ != nullptr; }

  static std::string test_name() {
    return testing::UnitTest::GetInstance()->current_test_info()->name();
  }

  /// The location of a new image that is named as its test.
  static std::string make_image(const std::string& features = {}) {
    cluster().run("rbd create " + test_name() + " --size 8M" +
                  (features.empty() ? "" : " --image-feature " + features));
    return cluster().location(test_name());
  }

  static std::unique_ptr<RbdDevice> open(const std::string& location,
                                         Access access = Access::read_write) {
    auto device = RbdDevice::open(location, access, patience);
    EXPECT_TRUE(device.ok()) << (device ? "" : device.error().text());
    return device ? *std::move(device) : nullptr;
  }

  static std::unique_ptr<RbdDevice> open_locked(const std::string& location) {
    auto device = open(location);
    EXPECT_OK(device->lock_for_writing());
    return device;
  }

  /// With a short deadline, which a busy machine may miss in the opening already: so that is tried
  /// until it succeeds.
  static std::unique_ptr<RbdDevice>
  open_hasty(const std::string& location, std::chrono::milliseconds timeout, bool lock = true) {
    const auto deadline = std::chrono::steady_clock::now() + 2 * patience;
    Status last;
    while (std::chrono::steady_clock::now() < deadline) {
      auto device = RbdDevice::open(location, Access::read_write, timeout);
      last = device ? Status() : Status(device.error());
      last = last && lock ? (*device)->lock_for_writing() : last;
      if (last) {
        return *std::move(device);
      }
    }
    ADD_FAILURE() << last.error().text();
    return nullptr;
  }

  static Bytes block_at(RbdDevice& device, std::uint64_t offset_bytes) {
    Bytes block(block_size_bytes);
    EXPECT_OK(device.read(offset_bytes, block));
    return block;
  }

  static constexpr std::chrono::seconds patience{100};

private:
  static inline std::unique_ptr<test::CephCluster> cluster_;
};

} // namespace vnvram
