// Metrics by HTTP, for Prometheus to scrape.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include <poll.h>

#include "base/unique_fd.h"
#include "serve/bell.h"
#include "service/connection_limits.h"
#include "service/door.h"
#include "service/listener.h"
#include "service/log.h"

namespace vnvram {

/// Answers GET (and HEAD) of /metrics, one request for each connection, and anything else with an
/// error. Who says nothing for long, or too much, is dropped; when as many are connected as the
/// limits allow, the one that was first makes room. Nobody else waits for any of them.
///
/// Threads: one of its own, from start() to the destructor, which sleeps while nobody asks.
class MetricsServer {
public:
  /// What it is given outlives it.
  struct Setup {
    const Listener& listener;
    std::function<std::string()> text; ///< Asked on its thread.
    const Log& log;
    ConnectionLimits limits{.clients_max = 8};
    std::chrono::milliseconds request_max{5000}; ///< From a connection to the end of its answer.
  };

  /// Errors: io (no descriptor left, or no thread).
  static Result<std::unique_ptr<MetricsServer>> start(const Setup& setup);
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;
  ~MetricsServer() { bell_.ring(Bell::end); }

private:
  using Clock = std::chrono::steady_clock;

  struct Client {
    UniqueFd socket;
    Clock::time_point until;
    std::string received = {};
    std::string answer = {}; ///< Empty: it has not asked yet.
    std::size_t sent_bytes = 0;
    bool is_over = false;
  };

  MetricsServer(const Setup& setup, UniqueFd bell_fd);

  void run();
  void accept();
  void advance(Client& client);
  void receive(Client& client);
  static void send(Client& client);
  [[nodiscard]] std::string answer_to(const std::string& received) const;

  const Setup setup_;
  Bell bell_;
  Door door_;
  std::list<Client> clients_; ///< In the order in which they came.
  std::jthread thread_;       ///< The last: it uses all others.
};

} // namespace vnvram
