#include "cli/metrics_options.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <utility>

#include "cli/socket_access.h"
#include "service/socket_address.h"

namespace vnvram::cli {
namespace {

bool is_for_this_host_only(const SocketAddress& address) {
  return address.kind != SocketAddress::Kind::tcp || address.host == "::1" ||
         address.host.starts_with("127.");
}

// A socket that was opened by somebody else may be anywhere.
bool is_for_this_host_only(const Listener& listener) {
  sockaddr_storage bound{};
  socklen_t size_bytes = sizeof(bound);
  if (::getsockname(listener.fd(), reinterpret_cast<sockaddr*>(&bound), &size_bytes) != 0) {
    return false;
  }
  if (bound.ss_family == AF_INET6) {
    const auto& ipv6 = reinterpret_cast<const sockaddr_in6&>(bound);
    return IN6_IS_ADDR_LOOPBACK(&ipv6.sin6_addr);
  }
  const auto& ipv4 = reinterpret_cast<const sockaddr_in&>(bound);
  return bound.ss_family == AF_UNIX ||
         (bound.ss_family == AF_INET && (ntohl(ipv4.sin_addr.s_addr) >> 24U) == IN_LOOPBACKNET);
}

} // namespace

MetricsOptions::MetricsOptions(CLI::App& app) {
  app.add_option("--metrics", address_,
                 "answer GET /metrics there, for Prometheus: unix:PATH or, for every user of this "
                 "host, tcp:127.0.0.1:PORT")
      ->type_name("ADDRESS");
  app.add_option("--metrics-mode", mode_, "mode of that socket, octal; 0660 unless given");
  app.add_option("--metrics-group", group_, "group of that socket");
}

Result<std::optional<Listener>> MetricsOptions::open() const {
  if (address_.empty()) {
    return std::optional<Listener>();
  }
  const Result<SocketAddress> address = parse_socket_address(address_);
  if (!address) {
    return address.error();
  }
  const Error for_others(
      ErrorKind::invalid_argument,
      "--metrics " + address_ + ": other hosts could ask there, and nobody is asked who they are",
      "write tcp:127.0.0.1:PORT, and have a proxy in front of it that knows its clients");
  if (!is_for_this_host_only(*address)) {
    return for_others; // Before anybody can connect.
  }
  const Result<SocketAccess> access = parse_socket_access("--metrics-", mode_, group_);
  if (!access) {
    return access.error();
  }
  Result<Listener> listener = Listener::open(*address, *access);
  if (!listener) {
    return listener.error();
  }
  if (!is_for_this_host_only(*listener)) {
    return for_others;
  }
  return std::optional<Listener>(*std::move(listener));
}

Result<std::unique_ptr<MetricsServer>> serve_metrics(const std::optional<Listener>& listener,
                                                     const OwnerServer& server, const Log& log) {
  if (!listener) {
    return std::unique_ptr<MetricsServer>();
  }
  return MetricsServer::start(
      {.listener = *listener, .text = [&server] { return server.metrics(); }, .log = log});
}

} // namespace vnvram::cli
