// Stores on each kind of NBD server, which is killed while they commit.
#include <atomic>
#include <cstring>
#include <functional>
#include <thread>

#include "unit/device/nbd_fixture.h"
#include "vnvram/store.h"

namespace vnvram {
namespace {

constexpr std::uint64_t image_size_bytes = std::uint64_t{8} << 20U;

struct ServerKind {
  const char* name;
  const char* format;
  std::function<std::unique_ptr<NbdServer>(const std::string& image)> start;
};

std::ostream& operator<<(std::ostream& out, const ServerKind& kind) {
  return out << kind.name;
}

std::vector<ServerKind> server_kinds() {
  const auto qemu_nbd = [](const char* format) {
    return [format](const std::string& image) {
      return NbdServer::qemu_nbd({"--format", format, image});
    };
  };
  const auto daemon = [](const char* format) {
    return [format](const std::string& image) { return NbdServer::storage_daemon(image, format); };
  };
  const auto qemu = [](const char* format) {
    return [format](const std::string& image) { return NbdServer::qemu(image, format); };
  };
  return {{"nbdkit", "raw",
           [](const std::string& image) {
             return NbdServer::nbdkit({"file", image});
           }},
          {"qemu_nbd_raw", "raw", qemu_nbd("raw")},
          {"qemu_nbd_qcow2", "qcow2", qemu_nbd("qcow2")},
          {"storage_daemon_raw", "raw", daemon("raw")},
          {"storage_daemon_qcow2", "qcow2", daemon("qcow2")},
          {"qemu_raw", "raw", qemu("raw")},
          {"qemu_qcow2", "qcow2", qemu("qcow2")}};
}

class NbdServerTest : public testing::TestWithParam<ServerKind> {
protected:
  void SetUp() override {
    image_ = directory_.path("image");
    const test::Outcome made = test::run({"qemu-img", "create", "-q", "-f", GetParam().format,
                                          image_, std::to_string(image_size_bytes)});
    ASSERT_EQ(made.exit_status, 0) << made.output;
    start();
    CreateOptions options;
    options.blobs = {
        {.spec = {.name = "a", .type = "test", .size_max_bytes = 65536, .producer = "test"},
         .content = Bytes(8)}};
    const auto device = open_device(server_->uri(), Access::read_write);
    ASSERT_OK(device);
    ASSERT_OK(create_image(**device, options));
  }
  void start() { server_ = GetParam().start(image_); }
  Result<std::unique_ptr<Store>> open() {
    auto device = open_device(server_->uri(), Access::read_write);
    return device ? Store::open(std::move(*device)) : device.error();
  }
  static Status put(Store& store, std::uint64_t value) {
    return store.write("a", std::as_bytes(std::span(&value, 1)));
  }
  static std::uint64_t get(Store& store) {
    const auto content = store.read("a");
    std::uint64_t value = ~std::uint64_t{0};
    if (content && content->size() == sizeof(value)) {
      std::memcpy(&value, content->data(), sizeof(value));
    }
    return value;
  }

  test::TemporaryDirectory directory_;
  std::string image_;
  std::unique_ptr<NbdServer> server_;
};

TEST_P(NbdServerTest, AStoreLivesOnIt) {
  {
    const auto store = open();
    ASSERT_OK(store);
    for (std::uint64_t value = 1; value <= 600; ++value) { // More than the ring: checkpoints, too.
      ASSERT_OK(put(**store, value));
    }
    ASSERT_OK((*store)->checkpoint());
    ASSERT_OK((*store)->close());
  }
  server_->kill();
  start();
  const auto store = open();
  ASSERT_OK(store);
  EXPECT_EQ(get(**store), 600U);
  EXPECT_GE((*store)->info().generation, 600U);
}

// A server that dies is no power cut: what it had given to the kernel is there. What is to be seen
// is that no commit counts that was not answered, and that opening again finds all that were.
TEST_P(NbdServerTest, WhatWasAcknowledgedIsThereAfterItWasKilled) {
  std::uint64_t expected = 0;
  for (int round = 0; round < 3; ++round) {
    const auto store = open();
    ASSERT_OK(store);
    ASSERT_GE(get(**store), expected);
    ASSERT_LE(get(**store), expected + 1); // One may have been on its way.
    const std::uint64_t first = get(**store);
    std::atomic<std::uint64_t> acknowledged = first;
    Status failed;
    std::thread writer([&] {
      while (failed) {
        failed = put(**store, acknowledged + 1);
        if (failed) {
          ++acknowledged;
          acknowledged.notify_one();
        }
      }
    });
    for (std::uint64_t seen = acknowledged; seen < first + 50; seen = acknowledged) {
      acknowledged.wait(seen);
    }
    server_->kill();
    writer.join();
    EXPECT_KIND(failed, io);
    const std::uint64_t generation = (*store)->info().generation;
    EXPECT_TRUE((*store)->info().poisoned.has_value());
    EXPECT_KIND(put(**store, 0), poisoned);
    EXPECT_EQ(get(**store), acknowledged) << "memory is not ahead of what was acknowledged";
    EXPECT_FALSE((*store)->close().ok());
    start();
    expected = acknowledged;
    const auto again = open();
    ASSERT_OK(again);
    EXPECT_GE((*again)->info().generation, generation);
    EXPECT_LE((*again)->info().generation, generation + 1);
    ASSERT_OK((*again)->close());
  }
}

TEST_P(NbdServerTest, AnOvertakenClientHasNothingAcknowledged) {
  const auto first = open();
  ASSERT_OK(first);
  ASSERT_OK(put(**first, 1));
  const auto second = open(); // Nothing keeps it out.
  ASSERT_OK(second);
  EXPECT_KIND(put(**first, 2), in_use);
  EXPECT_KIND(put(**first, 3), poisoned);
  ASSERT_OK(put(**second, 4));
  EXPECT_FALSE((*first)->close().ok());
  ASSERT_OK((*second)->close());
  const auto third = open();
  ASSERT_OK(third);
  EXPECT_EQ(get(**third), 4U);
}

INSTANTIATE_TEST_SUITE_P(Servers, NbdServerTest, testing::ValuesIn(server_kinds()),
                         [](const auto& chosen) { return std::string(chosen.param.name); });

} // namespace
} // namespace vnvram
