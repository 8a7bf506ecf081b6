// What tests need in which the cluster fails.
#pragma once

#include <functional>
#include <string>
#include <thread>

#include "unit/device/rbd_fixture.h"

namespace vnvram {

class RbdFailureFixture : public RbdTest {
protected:
  static void SetUpTestSuite() { start_cluster(test::CephCluster::Osd::freezes); }

  /// Of the test's image.
  static std::string lockers() { return cluster().run("rbd lock ls " + test_name()); }

  /// As a take-over does it: the lock's owner may do nothing any more.
  static void shut_out_owner() {
    const std::string all = lockers();
    const std::size_t address = all.find("127.0.0.1");
    ASSERT_NE(address, std::string::npos) << all;
    cluster().run("ceph osd blocklist add " +
                  all.substr(address, all.find_first_of(" \n", address) - address));
  }

  /// It is free then, and nobody is shut out: librbd's owner does not hear of it.
  static void take_lock_away() {
    const std::string all = lockers(); // client.N  auto N  address
    const std::size_t client = all.find("client.");
    const std::size_t id = all.find("auto ");
    ASSERT_TRUE(client != std::string::npos && id != std::string::npos) << all;
    const auto word_from = [&](std::size_t begin, std::size_t end) {
      return all.substr(begin, all.find_first_of(" \n", end) - begin);
    };
    cluster().run("rbd lock rm " + test_name() + " '" + word_from(id, id + 5) + "' " +
                  word_from(client, client) + " --rbd-blocklist-on-break-lock=false");
  }

  /// Asks again and again; false: it is not so in the end.
  static bool comes_true(const std::function<bool()>& question) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!question()) {
      if (std::chrono::steady_clock::now() > deadline) {
        return false;
      }
      std::this_thread::yield();
    }
    return true;
  }

  static bool anybody_is_shut_out() {
    return cluster().run("ceph osd blocklist ls").find("127.0.0.1") != std::string::npos;
  }

  static void expect_nothing_works(RbdDevice& device, ErrorKind kind) {
    Bytes block(block_size_bytes);
    for (const Status& done : {device.write_durable(0, blocks_of(9)), device.write(0, blocks_of(9)),
                               device.read(0, block), device.flush(),
                               device.write_durable_and_read(0, blocks_of(9), 0, block),
                               device.resize(2 * rbd_size_bytes)}) {
      ASSERT_FALSE(done.ok());
      EXPECT_EQ(kind_name(done.error().kind()), kind_name(kind)) << done.error().text();
    }
  }
};

} // namespace vnvram
