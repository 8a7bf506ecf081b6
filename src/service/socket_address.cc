#include "service/socket_address.h"

#include <arpa/inet.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string_view>

namespace vnvram {
namespace {

constexpr std::size_t path_max_bytes = sizeof(sockaddr_un::sun_path) - 1;

Error bad_address(const std::string& text, const std::string& why) {
  return {ErrorKind::invalid_argument, "socket address '" + text + "': " + why,
          "write unix:PATH, tcp:HOST:PORT or fd:N"};
}

Status check_path(const std::string& path) {
  if (path.empty() || path.size() > path_max_bytes) {
    return bad_address("unix:" + path,
                       "a socket's path has 1 to " + std::to_string(path_max_bytes) + " bytes");
  }
  return {};
}

// The first of systemd's descriptors.
constexpr int listen_fds_start = 3;

std::string_view environment(const char* name) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing of ours changes the environment.
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

// The place in a list with colons between; nothing if it is not in it.
std::optional<int> index_of(std::string_view name, std::string_view list) {
  for (int index = 0; !list.empty(); ++index) {
    const auto end = list.find(':');
    if (list.substr(0, end) == name) {
      return index;
    }
    list = end == std::string_view::npos ? "" : list.substr(end + 1);
  }
  return std::nullopt;
}

// What it is called by who has started this process.
Result<SocketAddress> parse_descriptor(const std::string& text) {
  const std::string_view name = std::string_view(text).substr(3);
  SocketAddress address;
  address.kind = SocketAddress::Kind::descriptor;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), address.descriptor);
  if (parsed.ec == std::errc() && parsed.ptr == name.data() + name.size() &&
      address.descriptor > 2) {
    return address;
  }
  const bool is_for_us = environment("LISTEN_PID") == std::to_string(::getpid());
  const auto index = is_for_us ? index_of(name, environment("LISTEN_FDNAMES")) : std::nullopt;
  if (!index) {
    return bad_address(text, "neither a descriptor's number above 2, nor the name of a socket that "
                             "systemd has handed over");
  }
  address.descriptor = listen_fds_start + *index;
  return address;
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
  if (kind == Kind::descriptor) {
    return "fd:" + std::to_string(descriptor);
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
  if (view.starts_with("fd:")) {
    return parse_descriptor(text);
  }
  if (!view.starts_with("tcp:")) {
    return bad_address(text, "it starts with none of 'unix:', 'tcp:' and 'fd:'");
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
  if (address.kind == SocketAddress::Kind::descriptor) {
    return bad_address(address.text(), "there is no name beside it for a control socket");
  }
  if (address.port == std::numeric_limits<std::uint16_t>::max()) {
    return bad_address(address.text(), "there is no next port for the control socket");
  }
  ++control.port;
  return control;
}

} // namespace vnvram
