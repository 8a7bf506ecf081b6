// NbdDevice on servers that do what they are asked to.
#include <algorithm>
#include <thread>

#include "device/location.h"
#include "unit/device/nbd_fixture.h"

namespace vnvram {
namespace {

constexpr std::uint64_t size_bytes = std::uint64_t{4} << 20U;

/// What nbdkit's log filter has seen of requests: a line before each ("Write id=") and one after it
/// ("...Write id=").
class LoggedServer {
public:
  explicit LoggedServer(const NbdServer::Words& words)
      : directory_("/tmp"), log_(directory_.path("log")), server_(start(words)) {}
  [[nodiscard]] NbdServer& server() { return *server_; }
  std::string log(const std::string& once_it_says) const {
    return test::wait_for_content(log_, once_it_says);
  }

private:
  std::unique_ptr<NbdServer> start(const NbdServer::Words& words) {
    NbdServer::Words all = {"--filter=log"};
    all.insert(all.end(), words.begin(), words.end());
    all.push_back("logfile=" + log_);
    return NbdServer::nbdkit(all);
  }
  test::TemporaryDirectory directory_;
  std::string log_;
  std::unique_ptr<NbdServer> server_;
};

TEST(NbdDeviceTest, ReadsReturnWhatAnyKindOfWriteWrote) {
  const auto server = NbdServer::nbdkit({"memory", "4M"});
  const auto device = connect(*server);
  ASSERT_NE(device, nullptr);
  EXPECT_EQ(*device->size_bytes(), size_bytes);
  Bytes read(block_size_bytes);
  const std::uint64_t last = size_bytes - block_size_bytes;
  for (unsigned round = 1; round <= 3; ++round) {
    ASSERT_OK(device->write(last, blocks_of(round)));
    ASSERT_OK(device->read(last, read));
    EXPECT_EQ(read, blocks_of(round));
    ASSERT_OK(device->write_durable(0, blocks_of(10 + round)));
    ASSERT_OK(device->write_durable_and_read(block_size_bytes, blocks_of(20 + round), 0, read));
    EXPECT_EQ(read, blocks_of(10 + round));
    ASSERT_OK(device->flush());
    ASSERT_OK(device->read(block_size_bytes, read));
    EXPECT_EQ(read, blocks_of(20 + round));
  }
}

TEST(NbdDeviceTest, NothingIsReachedBeyondTheEnd) {
  const auto server = NbdServer::nbdkit({"memory", "4M"});
  const auto device = connect(*server);
  ASSERT_NE(device, nullptr);
  Bytes block(block_size_bytes);
  for (const std::uint64_t offset : {size_bytes, ~std::uint64_t{0} - block_size_bytes + 1}) {
    EXPECT_KIND(device->read(offset, block), io);
    EXPECT_KIND(device->write(offset, block), io);
    EXPECT_KIND(device->write_durable(offset, block), io);
    EXPECT_KIND(device->write_durable_and_read(0, block, offset, block), io);
  }
  ASSERT_OK(device->read(0, block)); // The connection has not suffered.
  EXPECT_KIND(device->resize(2 * size_bytes), unsupported);
  ASSERT_OK(device->resize(size_bytes));
}

TEST(NbdDeviceTest, SaysWhatItCannotDo) {
  const auto server = NbdServer::nbdkit({"--filter=nozero", "memory", "4M"});
  const DeviceCapabilities can = connect(*server)->capabilities();
  EXPECT_TRUE(can.write && can.remote && can.content_may_change);
  EXPECT_FALSE(can.lock || can.resize);
  NbdTarget target;
  target.name = "private";
  target.unix_path = server->socket();
  target.private_server = true;
  const auto ours = NbdDevice::connect(target, Access::read_write);
  ASSERT_OK(ours);
  EXPECT_TRUE((*ours)->capabilities().lock);
  EXPECT_FALSE((*ours)->capabilities().content_may_change);
  ASSERT_OK((*ours)->lock_for_writing());
  const auto reader = connect(*server, Access::read_only);
  EXPECT_FALSE(reader->capabilities().write);
  EXPECT_KIND(reader->lock_for_writing(), read_only);
  EXPECT_KIND(reader->write(0, blocks_of(1)), read_only);
  EXPECT_KIND(reader->write_durable(0, blocks_of(1)), read_only);
}

TEST(NbdDeviceTest, ADurableWriteIsOneRequestWithFua) {
  LoggedServer logged({"memory", "4M"});
  auto device = connect(logged.server());
  ASSERT_OK(device->write_durable(8192, blocks_of(1, 3)));
  ASSERT_OK(device->write(0, blocks_of(2)));
  ASSERT_OK(device->flush());
  device.reset();
  const std::string log = logged.log("Disconnect");
  EXPECT_EQ(count_of(log, " Write id="), 2U) << log;
  EXPECT_EQ(count_of(log, "offset=0x2000 count=0x3000 fua=1"), 1U) << log;
  EXPECT_EQ(count_of(log, "offset=0x0 count=0x1000 fua=0"), 1U) << log;
  EXPECT_EQ(count_of(log, " Flush id="), 1U) << log;
}

TEST(NbdDeviceTest, WithoutFuaAFlushFollowsEachDurableWrite) {
  LoggedServer logged({"eval", "get_size=echo 4M", "pread=head -c $3 /dev/zero",
                       "pwrite=cat >/dev/null", "can_fua=echo none", "flush=exit 0"});
  auto device = connect(logged.server());
  Bytes read(block_size_bytes);
  ASSERT_OK(device->write_durable_and_read(8192, blocks_of(1), 0, read));
  device.reset();
  const std::string log = logged.log("Disconnect");
  EXPECT_EQ(count_of(log, "fua=1"), 0U) << log;
  const std::size_t flush = log.find(" Flush id=");
  ASSERT_NE(flush, std::string::npos) << log;
  EXPECT_LT(log.rfind("...Write id="), flush) << log;
}

TEST(NbdDeviceTest, WithoutFlushEveryWriteHasFua) {
  LoggedServer logged({"eval", "get_size=echo 4M", "pread=head -c $3 /dev/zero",
                       "pwrite=cat >/dev/null", "can_fua=echo native", "can_flush=exit 3"});
  auto device = connect(logged.server());
  ASSERT_NE(device, nullptr);
  ASSERT_OK(device->write(8192, blocks_of(1)));
  ASSERT_OK(device->flush());
  device.reset();
  const std::string log = logged.log("Disconnect");
  EXPECT_EQ(count_of(log, "fua=1 ..."), 1U) << log;
  EXPECT_EQ(count_of(log, "fua=0 ..."), 0U) << log;
}

TEST(NbdDeviceTest, AServerThatCannotMakeAnythingDurableIsOnlyRead) {
  const auto server = NbdServer::nbdkit(
      {"eval", "get_size=echo 4M", "pread=head -c $3 /dev/zero", "pwrite=cat >/dev/null"});
  EXPECT_KIND(try_connect(server->uri()), unsupported);
  const auto device = connect(*server, Access::read_only);
  Bytes read = blocks_of(1);
  ASSERT_OK(device->read(0, read));
  EXPECT_EQ(read, blocks_of(0));
}

TEST(NbdDeviceTest, AReadOnlyExportIsNotOpenedForWriting) {
  const auto server = NbdServer::nbdkit({"--readonly", "memory", "4M"});
  EXPECT_KIND(try_connect(server->uri()), read_only);
  const auto device = connect(*server, Access::read_only);
  Bytes read(block_size_bytes);
  ASSERT_OK(device->read(0, read));
}

TEST(NbdDeviceTest, RequestsAreAsLargeAsTheServerTakesThem) {
  LoggedServer logged({"--filter=blocksize-policy", "memory", "4M", "blocksize-minimum=512",
                       "blocksize-preferred=4096", "blocksize-maximum=12288",
                       "blocksize-error-policy=error"});
  auto device = connect(logged.server());
  Bytes data(64 * block_size_bytes);
  for (std::size_t i = 0; i < data.size(); ++i) {
    data[i] = static_cast<std::byte>(i / 1000);
  }
  Bytes read(data.size());
  ASSERT_OK(device->write(block_size_bytes, data));
  ASSERT_OK(device->read(block_size_bytes, read));
  EXPECT_EQ(read, data);
  ASSERT_OK(device->write_durable(2 * block_size_bytes, data));
  ASSERT_OK(
      device->write_durable_and_read(100 * block_size_bytes, data, 2 * block_size_bytes, read));
  EXPECT_EQ(read, data);
  device.reset();
  const std::string log = logged.log("Disconnect");
  EXPECT_EQ(count_of(log, "count=0x4000 "), 0U);
  EXPECT_EQ(count_of(log, "count=0x3000 fua=1"), 2 * 21U);
}

TEST(NbdDeviceTest, BlocksThatAreTooLargeOrTooSmallAreRefused) {
  for (const NbdServer::Words& policy :
       {NbdServer::Words{"blocksize-minimum=8192", "blocksize-preferred=8192",
                         "blocksize-maximum=65536"},
        NbdServer::Words{"blocksize-minimum=512", "blocksize-preferred=512",
                         "blocksize-maximum=2048"}}) {
    NbdServer::Words words = {"--filter=blocksize-policy", "memory", "4M"};
    words.insert(words.end(), policy.begin(), policy.end());
    const auto server = NbdServer::nbdkit(words);
    EXPECT_KIND(try_connect(server->uri(), Access::read_only), unsupported);
  }
}

TEST(NbdDeviceTest, ThreadsWorkAtTheSameTime) {
  const auto server = NbdServer::nbdkit({"memory", "4M"});
  const auto device = connect(*server);
  constexpr unsigned thread_count = 8;
  std::vector<std::jthread> threads;
  for (unsigned number = 0; number < thread_count; ++number) {
    threads.emplace_back([&, number] {
      const std::uint64_t at = std::uint64_t{number} * 64 * block_size_bytes;
      Bytes read(16 * block_size_bytes);
      for (unsigned round = 0; round < 100; ++round) {
        const Bytes data = blocks_of((number * 16) + (round % 16), 16);
        const Status written = round % 2 == 0 ? device->write_durable(at, data)
                                              : device->write_durable_and_read(at, data, 0, read);
        EXPECT_TRUE(written.ok()) << cause_of(written);
        EXPECT_TRUE(device->read(at, read).ok());
        EXPECT_EQ(read, data);
        EXPECT_TRUE(round % 10 != 0 || device->flush().ok());
      }
    });
  }
}

TEST(NbdDeviceTest, ARequestIsAnsweredWhileAnotherOneWaits) {
  LoggedServer logged({"--filter=delay", "memory", "4M", "delay-write=3600"});
  const auto device = connect(logged.server());
  Status written;
  std::thread writer([&] { written = device->write_durable(0, blocks_of(1)); });
  logged.log("Write id="); // The server has it.
  Bytes read(block_size_bytes);
  EXPECT_TRUE(device->read(0, read).ok());
  EXPECT_EQ(read, blocks_of(0));
  logged.server().kill();
  writer.join();
  EXPECT_KIND(written, io);
}

TEST(NbdDeviceTest, WorksOverTcp) {
  const auto server = NbdServer::nbdkit_on_tcp({"memory", "4M"});
  const auto device = connect(*server);
  ASSERT_NE(device, nullptr);
  Bytes read(block_size_bytes);
  ASSERT_OK(device->write_durable(0, blocks_of(1)));
  ASSERT_OK(device->read(0, read));
  EXPECT_EQ(read, blocks_of(1));
}

TEST(NbdDeviceTest, OpenDeviceTakesUris) {
  const auto server = NbdServer::nbdkit({"memory", "4M"});
  const auto device = open_device(server->uri(), Access::read_write);
  ASSERT_OK(device);
  EXPECT_EQ((*device)->name(), server->uri());
  EXPECT_TRUE((*device)->capabilities().remote);
  for (const char* other : {"nbd.img", "./nbd://x", "nbd", "file:///x", "nbd+vsock://1/"}) {
    EXPECT_FALSE(is_served(other));
  }
}

} // namespace
} // namespace vnvram
