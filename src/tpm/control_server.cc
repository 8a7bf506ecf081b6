#include "tpm/control_server.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include <fmt/core.h>

#include "service/poll_timeout.h"

namespace vnvram {
namespace {

// Behind the signals and the other one.
constexpr int first_entrance = 2;

} // namespace

void ControlServer::add_listener(const Listener& listener, CommandSource source, Trust trust) {
  entrances_.push_back({Door(listener, limits_, log_), source, trust});
}

Status ControlServer::go_on_with(UniqueFd socket, ControlClient client,
                                 ControlConnection::Rest rest) {
  return clients_.emplace_back(std::move(socket), std::move(client)).go_on(std::move(rest));
}

std::optional<std::vector<const ControlConnection*>> ControlServer::clients_at_rest() const {
  std::vector<const ControlConnection*> found;
  for (const ControlConnection& client : clients_) {
    if (client.is_at_rest()) {
      found.push_back(&client);
    } else if (service_.is_controller(client.client())) {
      return std::nullopt;
    }
  }
  return found;
}

int ControlServer::run(int signal_fd, const std::optional<Other>& other) {
  SpareDescriptor spare(signal_fd);
  for (;;) {
    const Clock::time_point before = Clock::now();
    collect_poll_entries(signal_fd, other ? other->fd() : -1, before);
    if (::poll(poll_entries_.data(), poll_entries_.size(), poll_timeout_ms(before)) < 0) {
      continue;
    }
    spare.let_go();  // A client may pass one.
    serve_clients(); // Before a signal is obeyed: what they said came first, for all we know.
    if (!spare.keep() && drop_a_silent_one(1)) {
      (void)spare.keep();
    }
    signalfd_siginfo signal{};
    if (poll_entries_.front().revents != 0 &&
        ::read(signal_fd, &signal, sizeof(signal)) == sizeof(signal)) {
      return static_cast<int>(signal.ssi_signo);
    }
    accept_clients();
    if (other && other->advance()) {
      return 0;
    }
  }
}

void ControlServer::collect_poll_entries(int signal_fd, int other_fd, Clock::time_point now) {
  poll_entries_.clear();
  poll_entries_.push_back({.fd = signal_fd, .events = POLLIN, .revents = 0});
  poll_entries_.push_back({.fd = other_fd, .events = POLLIN, .revents = 0});
  for (Entrance& entrance : entrances_) {
    poll_entries_.push_back(entrance.door.poll_entry(now));
  }
  for (const ControlConnection& client : clients_) {
    poll_entries_.push_back({.fd = client.fd(), .events = client.poll_events(), .revents = 0});
  }
}

int ControlServer::poll_timeout_ms(Clock::time_point now) const {
  PollTimeout timeout(now);
  for (const Entrance& entrance : entrances_) {
    timeout.until(entrance.door.rests_until());
  }
  for (const ControlConnection& client : clients_) {
    if (client.is_unfinished()) {
      timeout.until(client.last_active() + limits_.unfinished_max);
    }
  }
  return timeout.milliseconds();
}

void ControlServer::serve_clients() {
  const Clock::time_point now = Clock::now();
  auto entry =
      poll_entries_.begin() + first_entrance + static_cast<std::ptrdiff_t>(entrances_.size());
  for (auto client = clients_.begin(); client != clients_.end(); ++entry) {
    const bool stays = entry->revents != 0 ? client->advance(service_) : goes_on(*client, now);
    client = stays ? std::next(client) : drop(client);
  }
}

// Asked about one that had nothing to say just now.
bool ControlServer::goes_on(const ControlConnection& client, Clock::time_point now) const {
  if (!client.is_unfinished() || now < client.last_active() + limits_.unfinished_max) {
    return true;
  }
  log_.warning(fmt::format("client {} has not gone on with a command that it has begun: dropped",
                           client.client().number));
  return false;
}

ControlServer::Clients::iterator ControlServer::drop(Clients::iterator client) {
  service_.client_gone(client->client());
  return clients_.erase(client);
}

bool ControlServer::drop_a_silent_one(std::size_t spared) {
  std::vector<Clients::iterator> others;
  for (auto client = clients_.begin(); client != clients_.end(); ++client) {
    if (!service_.is_controller(client->client())) {
      others.push_back(client);
    }
  }
  if (others.size() <= spared) {
    return false;
  }
  const auto silent =
      *std::min_element(others.begin(), others.end(), [](const auto& one, const auto& other) {
        return one->last_active() < other->last_active();
      });
  log_.info(fmt::format("client {} makes room for another one", silent->client().number));
  drop(silent);
  return true;
}

void ControlServer::accept_clients() {
  const Clock::time_point now = Clock::now();
  for (std::size_t index = 0; index < entrances_.size(); ++index) {
    if (poll_entries_[first_entrance + index].revents == 0) {
      continue;
    }
    Entrance& entrance = entrances_[index];
    UniqueFd socket = entrance.door.accept(now, [this] { return drop_a_silent_one(0); });
    if (!socket.valid()) {
      continue;
    }
    if (clients_.size() >= limits_.clients_max) {
      drop_a_silent_one(0);
    }
    ControlClient client;
    client.number = next_client_number_++;
    client.source = entrance.source;
    client.over_network = entrance.trust == Trust::this_host &&
                          entrance.door.listener().address().kind == SocketAddress::Kind::tcp;
    clients_.emplace_back(std::move(socket), std::move(client));
  }
}

} // namespace vnvram
