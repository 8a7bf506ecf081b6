#include "serve/metrics_server.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "serve/http_request.h"
#include "service/poll_timeout.h"

namespace vnvram {
namespace {

constexpr const char* metrics_path = "/metrics";
constexpr const char* metrics_type = "text/plain; version=0.0.4; charset=utf-8";
constexpr const char* plain_type = "text/plain; charset=utf-8";

std::string refusal(std::string_view status, std::string_view why) {
  return http_response(status, plain_type, why, true);
}

} // namespace

Result<std::unique_ptr<MetricsServer>> MetricsServer::start(const Setup& setup) {
  Result<UniqueFd> bell_fd = Bell::make_fd();
  if (!bell_fd) {
    return bell_fd.error();
  }
  try {
    return std::unique_ptr<MetricsServer>(new MetricsServer(setup, *std::move(bell_fd)));
  } catch (const std::system_error& error) {
    return Error(ErrorKind::io,
                 std::string("no thread can be started for the metrics: ") + error.what());
  }
}

MetricsServer::MetricsServer(const Setup& setup, UniqueFd bell_fd)
    : setup_(setup), bell_(std::move(bell_fd)), door_(setup.listener, setup.limits, setup.log),
      thread_([this] { run(); }) {}

void MetricsServer::run() {
  for (;;) {
    const auto now = Clock::now();
    PollTimeout timeout(now);
    std::vector<pollfd> entries = {pollfd{.fd = bell_.fd(), .events = POLLIN, .revents = 0},
                                   door_.poll_entry(now)};
    timeout.until(door_.rests_until());
    for (const Client& client : clients_) {
      const short events = client.answer.empty() ? POLLIN : POLLOUT;
      entries.push_back({.fd = client.socket.get(), .events = events, .revents = 0});
      timeout.until(client.until);
    }
    if (::poll(entries.data(), entries.size(), timeout.milliseconds()) < 0) {
      continue; // A signal that is none of this thread's business.
    }
    if (entries[0].revents != 0) {
      return; // The end.
    }
    auto entry = entries.begin() + 2;
    for (Client& client : clients_) {
      if ((entry++)->revents != 0) {
        advance(client);
      }
      client.is_over = client.is_over || client.until <= Clock::now();
    }
    clients_.remove_if([](const Client& client) { return client.is_over; });
    if (entries[1].revents != 0) {
      accept();
    }
  }
}

void MetricsServer::accept() {
  const auto drop_the_first = [this] {
    const bool has_one = !clients_.empty();
    if (has_one) {
      clients_.pop_front();
    }
    return has_one;
  };
  UniqueFd socket = door_.accept(Clock::now(), drop_the_first);
  if (!socket.valid()) {
    return;
  }
  if (clients_.size() >= setup_.limits.clients_max) {
    drop_the_first();
  }
  clients_.push_back({.socket = std::move(socket), .until = Clock::now() + setup_.request_max});
}

void MetricsServer::advance(Client& client) {
  if (client.answer.empty()) {
    receive(client);
  }
  if (!client.answer.empty()) {
    send(client);
  }
}

void MetricsServer::receive(Client& client) {
  std::array<char, HttpRequest::size_max_bytes> buffer{};
  const std::ptrdiff_t count =
      ::recv(client.socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count <= 0) {
    client.is_over = count == 0 || (errno != EAGAIN && errno != EINTR);
    return;
  }
  client.received.append(buffer.data(), static_cast<std::size_t>(count));
  client.answer = answer_to(client.received);
}

std::string MetricsServer::answer_to(const std::string& received) const {
  const std::optional<HttpRequest> request = parse_http_request(received);
  if (!request) {
    return received.size() < HttpRequest::size_max_bytes
               ? std::string()
               : refusal("431 Request Header Fields Too Large", "too much was asked\n");
  }
  if (request->is_nonsense) {
    return refusal("400 Bad Request", "this is no request\n");
  }
  if (request->method != "GET" && request->method != "HEAD") {
    return refusal("405 Method Not Allowed\r\nAllow: GET, HEAD", "only GET and HEAD\n");
  }
  if (request->path != metrics_path) {
    return refusal("404 Not Found", "the metrics are at /metrics\n");
  }
  return http_response("200 OK", metrics_type, setup_.text(), request->method == "GET");
}

void MetricsServer::send(Client& client) {
  const std::string_view rest = std::string_view(client.answer).substr(client.sent_bytes);
  const std::ptrdiff_t count =
      ::send(client.socket.get(), rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (count < 0) {
    client.is_over = errno != EAGAIN && errno != EINTR;
    return;
  }
  client.sent_bytes += static_cast<std::size_t>(count);
  if (client.sent_bytes == client.answer.size()) {
    ::shutdown(client.socket.get(), SHUT_WR);
    client.is_over = true;
  }
}

} // namespace vnvram
