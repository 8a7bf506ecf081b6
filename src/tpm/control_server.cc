#include "tpm/control_server.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <iterator>
#include <string>
#include <utility>

namespace vnvram {
namespace {

constexpr std::size_t clients_max = 32;

} // namespace

void ControlServer::add_listener(const Listener& listener, CommandSource source) {
  doors_.push_back({&listener, source});
}

int ControlServer::run(int signal_fd) {
  for (;;) {
    collect_poll_entries(signal_fd);
    if (::poll(poll_entries_.data(), poll_entries_.size(), -1) < 0) {
      continue;
    }
    serve_clients(); // Before a signal is obeyed: what they said came first, for all we know.
    signalfd_siginfo signal{};
    if (poll_entries_.front().revents != 0 &&
        ::read(signal_fd, &signal, sizeof(signal)) == sizeof(signal)) {
      return static_cast<int>(signal.ssi_signo);
    }
    accept_clients();
  }
}

void ControlServer::collect_poll_entries(int signal_fd) {
  poll_entries_.clear();
  poll_entries_.push_back({.fd = signal_fd, .events = POLLIN, .revents = 0});
  for (const Door& door : doors_) {
    poll_entries_.push_back({.fd = door.listener->fd(), .events = POLLIN, .revents = 0});
  }
  for (const ControlConnection& client : clients_) {
    poll_entries_.push_back({.fd = client.fd(), .events = client.poll_events(), .revents = 0});
  }
}

void ControlServer::serve_clients() {
  auto entry = poll_entries_.begin() + 1 + static_cast<std::ptrdiff_t>(doors_.size());
  for (auto client = clients_.begin(); client != clients_.end(); ++entry) {
    if (entry->revents != 0 && !client->advance(service_)) {
      service_.client_gone(client->client());
      client = clients_.erase(client);
    } else {
      ++client;
    }
  }
}

void ControlServer::accept_clients() {
  for (std::size_t index = 0; index < doors_.size(); ++index) {
    if (poll_entries_[1 + index].revents == 0) {
      continue;
    }
    const Door& door = doors_[index];
    UniqueFd socket = door.listener->accept();
    if (!socket.valid()) {
      continue;
    }
    if (clients_.size() >= clients_max) {
      log_.warning("too many control clients: refused one");
      continue;
    }
    ControlClient client;
    client.number = next_client_number_++;
    client.source = door.source;
    client.over_network = door.listener->address().kind == SocketAddress::Kind::tcp;
    clients_.emplace_back(std::move(socket), std::move(client));
  }
}

} // namespace vnvram
