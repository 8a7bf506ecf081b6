#include "service/socket_address.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <charconv>
#include <limits>
#include <string_view>

namespace vnvram {
namespace {

constexpr std::size_t path_max_bytes = sizeof(sockaddr_un::sun_path) - 1;

Error bad_address(const std::string& text, const std::string& why) {
  return {ErrorKind::invalid_argument, "socket address '" + text + "': " + why,
          "write unix:PATH or tcp:HOST:PORT"};
}

Status check_path(const std::string& path) {
  if (path.empty() || path.size() > path_max_bytes) {
    return bad_address("unix:" + path,
                       "a socket's path has 1 to " + std::to_string(path_max_bytes) + " bytes");
  }
  return {};
}

bool is_ip_address(const std::string& host) {
  in6_addr buffer{};
  return ::inet_pton(AF_INET, host.c_str(), &buffer) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), &buffer) == 1;
}

} // namespace

std::string SocketAddress::text() const {
  if (kind == Kind::unix_path) {
    return "unix:" + path;
  }
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return "tcp:" + (is_ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<SocketAddress> parse_socket_address(const std::string& text) {
  const std::string_view view = text;
  SocketAddress address;
  if (view.starts_with("unix:")) {
    address.path = view.substr(5);
    if (Status fits = check_path(address.path); !fits.ok()) {
      return fits.error();
    }
    return address;
  }
  if (!view.starts_with("tcp:")) {
    return bad_address(text, "it starts with neither 'unix:' nor 'tcp:'");
  }
  address.kind = SocketAddress::Kind::tcp;
  const std::string_view rest = view.substr(4);
  const auto colon = rest.rfind(':');
  const std::string_view digits = colon == std::string_view::npos ? rest : rest.substr(colon + 1);
  std::string_view host = colon == std::string_view::npos ? "" : rest.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  }
  address.host = host.empty() || host == "localhost" ? "127.0.0.1" : std::string(host);
  if (!is_ip_address(address.host)) {
    return bad_address(text, "the host is neither an IP address nor 'localhost'");
  }
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() ||
      address.port == 0) {
    return bad_address(text, "the port is not a number from 1 to 65535");
  }
  return address;
}

Result<SocketAddress> control_address_beside(const SocketAddress& address) {
  SocketAddress control = address;
  if (address.kind == SocketAddress::Kind::unix_path) {
    control.path += ".ctrl";
    if (Status fits = check_path(control.path); !fits.ok()) {
      return fits.error();
    }
    return control;
  }
  if (address.port == std::numeric_limits<std::uint16_t>::max()) {
    return bad_address(address.text(), "there is no next port for the control socket");
  }
  ++control.port;
  return control;
}

} // namespace vnvram
