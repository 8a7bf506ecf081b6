// The control thread's loop: listeners, clients and the signals that end the process.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <vector>

#include <poll.h>

#include "service/door.h"
#include "service/log.h"
#include "service/spare_descriptor.h"
#include "tpm/control_connection.h"
#include "tpm/control_service.h"
#include "vnvram/result.h"

namespace vnvram {

/// Whoever connects gets in. When there are too many clients, or no descriptor is left, the one
/// that has been silent the longest has to go; the controller never, and a descriptor is kept for
/// what it passes. A client that does not go on with a command that it has begun is dropped.
///
/// Threads: one. The listeners and the service outlive it.
class ControlServer {
public:
  ControlServer(ControlService& service, ConnectionLimits limits, const Log& log)
      : service_(service), limits_(limits), log_(log) {}

  /// Whether clients that come over a network may do what those of this host may.
  enum class Trust { this_host, all };
  /// Clients of this listener set the locality of that source.
  void add_listener(const Listener& listener, CommandSource source, Trust trust = Trust::this_host);
  /// A client that has been served by another process. Errors: those of ControlConnection::go_on().
  Status go_on_with(UniqueFd socket, ControlClient client, ControlConnection::Rest rest);
  void set_next_client_number(std::uint64_t number) { next_client_number_ = number; }
  [[nodiscard]] std::uint64_t next_client_number() const { return next_client_number_; }
  /// The clients that have no request under way. None at all if the controller has one.
  [[nodiscard]] std::optional<std::vector<const ControlConnection*>> clients_at_rest() const;

  /// What may end the serving beside a signal.
  struct Other {
    std::function<int()> fd;       ///< To be polled now; -1: nothing.
    std::function<bool()> advance; ///< Called in each round, behind the clients. True: that is all.
  };
  /// Serves until `signal_fd`, a signalfd, has a signal, and returns its number; or 0, if the other
  /// one has ended it.
  int run(int signal_fd, const std::optional<Other>& other = std::nullopt);

private:
  using Clock = std::chrono::steady_clock;
  using Clients = std::list<ControlConnection>;

  struct Entrance {
    Door door;
    CommandSource source = CommandSource::vm;
    Trust trust = Trust::this_host;
  };

  void collect_poll_entries(int signal_fd, int other_fd, Clock::time_point now);
  [[nodiscard]] int poll_timeout_ms(Clock::time_point now) const;
  void serve_clients();
  [[nodiscard]] bool goes_on(const ControlConnection& client, Clock::time_point now) const;
  Clients::iterator drop(Clients::iterator client);
  /// The one that has been silent the longest, if more than `spared` could be.
  bool drop_a_silent_one(std::size_t spared);
  void accept_clients();

  ControlService& service_;
  const ConnectionLimits limits_;
  const Log& log_;
  std::vector<Entrance> entrances_;
  Clients clients_;
  std::vector<pollfd> poll_entries_;
  std::uint64_t next_client_number_ = 1;
};

} // namespace vnvram
