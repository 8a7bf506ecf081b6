// NbdDevice when servers fail: nothing of what was not answered is a success.
#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <fstream>
#include <thread>

#include "base/unique_fd.h"
#include "unit/device/nbd_fixture.h"

namespace vnvram {
namespace {

using std::chrono::milliseconds;

// Of a device whose server is to fail: short, as tests wait for its end, but long enough for a busy
// machine to connect and to answer within it.
constexpr milliseconds short_timeout{2500};

/// Listens, and never says anything.
class SilentServer {
public:
  SilentServer() : directory_("/tmp"), path_(directory_.path("silent")) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof(address.sun_path) - 1);
    listener_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
  }
  [[nodiscard]] std::string uri() const { return "nbd+unix:///?socket=" + path_; }

private:
  test::TemporaryDirectory directory_;
  std::string path_;
  UniqueFd listener_;
};

TEST(NbdFailureTest, WhatIsNotThereIsAbsent) {
  EXPECT_KIND(try_connect("nbd+unix:///?socket=/tmp/there-is-no-such-socket"), absent);
  EXPECT_KIND(try_connect("nbd://127.0.0.1:1/"), absent);
  const auto server = NbdServer::nbdkit(
      {"--filter=exportname", "memory", "4M", "exportname-strict=true", "exportname=here"});
  EXPECT_KIND(try_connect("nbd+unix:///elsewhere?socket=" + server->socket()), absent);
  ASSERT_OK(try_connect("nbd+unix:///here?socket=" + server->socket()));
}

TEST(NbdFailureTest, ABadUriIsSaidToBeOne) {
  EXPECT_KIND(try_connect("nbd+unix:///without-a-socket"), invalid_argument);
  EXPECT_KIND(try_connect("nbd://["), invalid_argument);
}

TEST(NbdFailureTest, ConnectingToASilentServerEnds) {
  const SilentServer server;
  const auto device = try_connect(server.uri(), Access::read_write, milliseconds(100));
  EXPECT_KIND(device, io);
  EXPECT_NE(device.error().cause().find("no answer for 0.1 s"), std::string::npos)
      << device.error().text();
}

TEST(NbdFailureTest, WhatIsNotAnNbdServerIsRefused) {
  const test::TemporaryDirectory directory("/tmp");
  test::Process other({"sh", "-c",
                       "exec python3 -c 'import socket,sys\n"
                       "s=socket.socket(socket.AF_UNIX)\n"
                       "s.bind(sys.argv[1]);s.listen(1);print(\"ready\",flush=True)\n"
                       "c=s.accept()[0];c.sendall(b\"x\"*4096);c.recv(1)' " +
                           directory.path("s")});
  ASSERT_TRUE(other.wait_for_output("ready"));
  EXPECT_KIND(try_connect("nbd+unix:///?socket=" + directory.path("s")), io);
}

TEST(NbdFailureTest, AnErrorReplyIsAnErrorAndTheConnectionGoesOn) {
  const test::TemporaryDirectory directory("/tmp");
  const std::string trigger = directory.path("trigger");
  const auto server = NbdServer::nbdkit({"--filter=error", "memory", "4M", "error=ENOSPC",
                                         "error-rate=100%", "error-file=" + trigger});
  const auto device = connect(*server);
  Bytes read(block_size_bytes);
  ASSERT_OK(device->write_durable(4096, blocks_of(1)));
  std::ofstream(trigger) << "now";
  const Status written = device->write_durable(4096, blocks_of(2, 2));
  EXPECT_KIND(written, no_space);
  EXPECT_NE(written.error().cause().find("cannot durably write 8192 bytes at 4096"),
            std::string::npos)
      << written.error().text();
  EXPECT_KIND(device->write_durable_and_read(0, blocks_of(2), 0, read), no_space);
  EXPECT_KIND(device->read(0, read), no_space);
  std::filesystem::remove(trigger);
  ASSERT_OK(device->read(4096, read));
  EXPECT_EQ(read, blocks_of(1));
}

TEST(NbdFailureTest, AServerThatStopsAnsweringIsGivenUp) {
  const auto server = NbdServer::nbdkit({"memory", "4M"});
  const auto device = connect(*server, Access::read_write, short_timeout);
  Bytes read(block_size_bytes);
  ASSERT_OK(device->read(0, read));
  server->stop();
  const Status written = device->write_durable(4096, blocks_of(1));
  EXPECT_KIND(written, io);
  EXPECT_EQ(written.error().cause(), "export: cannot durably write 4096 bytes at 4096: the server "
                                     "has not answered for 2.5 s");
  server->go_on();
  const Status after = device->read(0, read);
  EXPECT_KIND(after, io);
  EXPECT_NE(after.error().cause().find("has not answered for 2.5 s"), std::string::npos)
      << after.error().text();
  ASSERT_OK(connect(*server)->read(0, read)); // Opening again is the way on.
}

TEST(NbdFailureTest, EveryWaiterHearsOfALostConnection) {
  const auto server = NbdServer::nbdkit({"--filter=delay", "memory", "4M", "delay-read=3600"});
  const auto device = connect(*server);
  std::vector<std::jthread> threads;
  for (unsigned number = 0; number < 6; ++number) {
    threads.emplace_back([&] {
      Bytes read(block_size_bytes);
      EXPECT_KIND(device->read(0, read), io);
    });
  }
  ASSERT_OK(device->write_durable(0, blocks_of(1)));
  server->kill();
  threads.clear();
  const std::string first = cause_of(device->flush());
  EXPECT_NE(first, "success");
  EXPECT_EQ(cause_of(device->flush()), first);
  EXPECT_KIND(device->write_durable(0, blocks_of(1)), io);
}

TEST(NbdFailureTest, EveryWaiterHearsOfADeadline) {
  const auto server = NbdServer::nbdkit({"memory", "4M"});
  const auto device = connect(*server, Access::read_write, short_timeout);
  server->stop();
  {
    std::vector<std::jthread> threads;
    for (unsigned number = 0; number < 6; ++number) {
      threads.emplace_back([&] { EXPECT_KIND(device->write_durable(0, blocks_of(1, 64)), io); });
    }
  }
  EXPECT_KIND(device->flush(), io);
}

TEST(NbdFailureTest, AServerWhoseBuffersAreFullDoesNotBlock) {
  const auto server = NbdServer::nbdkit({"memory", "64M"});
  const auto device = connect(*server, Access::read_write, short_timeout);
  server->stop();
  const Bytes large(std::size_t{16} << 20U);
  EXPECT_KIND(device->write(0, large), io);
}

TEST(NbdFailureTest, APeerThatHasGoneSendsNoSignal) {
  for (const std::size_t length_bytes : {block_size_bytes, std::size_t{4} << 20U}) {
    const auto server = NbdServer::nbdkit({"memory", "64M"});
    const auto device = connect(*server);
    server->kill();
    const Bytes data(length_bytes); // SIGPIPE would end this test.
    Bytes read(block_size_bytes);
    const Status written = device->write_durable_and_read(0, data, 0, read);
    EXPECT_KIND(written, io);
    EXPECT_NE(written.error().cause().find("cannot durably write"), std::string::npos)
        << written.error().text();
    EXPECT_KIND(device->write(0, data), io);
  }
}

TEST(NbdFailureTest, NoDescriptorIsInherited) {
  const auto server = NbdServer::nbdkit({"memory", "4M"});
  const auto device = connect(*server);
  unsigned sockets = 0;
  for (int fd = 0; fd < 256; ++fd) {
    int type = 0;
    socklen_t length = sizeof(type);
    if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0) {
      ++sockets;
      EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << fd;
    }
  }
  EXPECT_GE(sockets, 1U);
}

} // namespace
} // namespace vnvram
