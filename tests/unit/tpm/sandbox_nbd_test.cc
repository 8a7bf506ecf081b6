// What vnvram-tpm with an admin socket may still do with NBD servers once it is confined.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "device/nbd_device.h"
#include "device/nbd_library.h"
#include "service/sandbox.h"
#include "support/nbd_server.h"
#include "support/sanitizers.h"

namespace vnvram {
namespace {

void must(const Status& status) {
  if (!status) {
    std::fprintf(stderr, "%s\n", status.error().text().c_str());
    std::_Exit(1);
  }
}

void use(const std::string& uri) {
  const auto device = open_device(uri, Access::read_write);
  must(device ? Status{} : device.error());
  std::vector<std::byte> block(block_size_bytes, std::byte{1});
  must((*device)->write_durable(0, block));
  must((*device)->write_durable_and_read(block_size_bytes, block, 0, block));
  must((*device)->flush());
}

void connect_confined(const std::string& uri) {
  must(NbdLibrary::load() ? Status{} : NbdLibrary::load().error());
  must(confine(Seccomp::on, {.connections = true}));
  use(uri);
  use(uri);
  std::_Exit(0);
}

constexpr bool can_be_confined = !test::sanitized;

class SandboxNbdTest : public testing::Test {
protected:
  void SetUp() override {
    if (!can_be_confined) {
      // Its runtime makes system calls that the filter ends a process for. The release build runs
      // it.
      GTEST_SKIP() << "a sanitizer makes calls that the filter ends a process for: see release";
    }
    GTEST_FLAG_SET(death_test_style, "fast"); // A fork: the server is this process's.
  }
};

TEST_F(SandboxNbdTest, AUnixSocketIsConnectedAgain) {
  const auto server = test::NbdServer::nbdkit({"memory", "4M"});
  EXPECT_EXIT(connect_confined(server->uri()), testing::ExitedWithCode(0), "");
}

TEST_F(SandboxNbdTest, ANumericAddressIsConnectedAgain) {
  const auto server = test::NbdServer::nbdkit_on_tcp({"memory", "4M"});
  EXPECT_EXIT(connect_confined(server->uri()), testing::ExitedWithCode(0), "");
}

} // namespace
} // namespace vnvram
