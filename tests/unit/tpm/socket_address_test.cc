#include "service/socket_address.h"

#include <gtest/gtest.h>

namespace vnvram::test {
namespace {

TEST(SocketAddress, Unix) {
  const auto address = parse_socket_address("unix:/run/tpm.sock");
  ASSERT_TRUE(address.ok());
  EXPECT_EQ(address->kind, SocketAddress::Kind::unix_path);
  EXPECT_EQ(address->path, "/run/tpm.sock");
  EXPECT_EQ(address->text(), "unix:/run/tpm.sock");
  EXPECT_EQ(control_address_beside(*address)->path, "/run/tpm.sock.ctrl");
}

TEST(SocketAddress, Tcp) {
  for (const auto& [text, meant] :
       {std::pair("tcp:2321", "tcp:127.0.0.1:2321"), std::pair("tcp::2321", "tcp:127.0.0.1:2321"),
        std::pair("tcp:localhost:2321", "tcp:127.0.0.1:2321"),
        std::pair("tcp:0.0.0.0:1", "tcp:0.0.0.0:1"),
        std::pair("tcp:[::1]:65535", "tcp:[::1]:65535")}) {
    const auto address = parse_socket_address(text);
    ASSERT_TRUE(address.ok()) << text;
    EXPECT_EQ(address->text(), meant);
  }
  EXPECT_EQ(control_address_beside(*parse_socket_address("tcp:2321"))->port, 2322);
}

TEST(SocketAddress, WrongOnesAreRefused) {
  for (const std::string text :
       {"", "unix:", "/run/tpm.sock", "tcp:", "tcp:0", "tcp:65536", "tcp:12x", "tcp:-1",
        "tcp:example.org:2321", "tcp:[::1:2321", "udp:1"}) {
    const auto address = parse_socket_address(text);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_EQ(address.error().kind(), ErrorKind::invalid_argument);
    EXPECT_FALSE(address.error().remedy().empty());
  }
  EXPECT_FALSE(parse_socket_address("unix:" + std::string(108, 'x')).ok());
  // The socket fits, its control socket does not.
  EXPECT_FALSE(control_address_beside(*parse_socket_address("unix:" + std::string(107, 'x'))).ok());
  EXPECT_FALSE(control_address_beside(*parse_socket_address("tcp:65535")).ok());
}

} // namespace
} // namespace vnvram::test
