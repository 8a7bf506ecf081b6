// The control thread's loop: listeners, clients and the signals that end the process.
#pragma once

#include <cstdint>
#include <list>
#include <vector>

#include <poll.h>

#include "tpm/control_connection.h"
#include "tpm/control_service.h"
#include "tpm/listener.h"
#include "tpm/log.h"

namespace vnvram {

/// Threads: one. The listeners and the service outlive it.
class ControlServer {
public:
  ControlServer(ControlService& service, const Log& log) : service_(service), log_(log) {}

  /// Clients of this listener set the locality of that source.
  void add_listener(const Listener& listener, CommandSource source);
  /// Serves until `signal_fd`, a signalfd, has a signal, and returns its number.
  int run(int signal_fd);

private:
  struct Door {
    const Listener* listener = nullptr;
    CommandSource source = CommandSource::vm;
  };

  void collect_poll_entries(int signal_fd);
  void serve_clients();
  void accept_clients();

  ControlService& service_;
  const Log& log_;
  std::vector<Door> doors_;
  std::list<ControlConnection> clients_;
  std::vector<pollfd> poll_entries_;
  std::uint64_t next_client_number_ = 1;
};

} // namespace vnvram
