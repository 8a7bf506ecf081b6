#include "tpm/tpm_worker.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace vnvram {
namespace {

constexpr std::size_t server_clients_max = 32;
constexpr std::uint8_t locality_max = 4;
// QEMU may be about to write a command that the machine gave before it was stopped.
constexpr std::chrono::milliseconds hold_quiet{20};
constexpr std::chrono::milliseconds hold_wait_max{1000};

} // namespace

TpmWorker::TpmWorker(SoftTpm& tpm, StateKeeper& keeper, const Log& log)
    : tpm_(tpm), keeper_(keeper), log_(log), wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this] { run(); }) {}

TpmWorker::~TpmWorker() {
  stop();
}

void TpmWorker::serve(const Listener* listener) {
  listener_ = listener;
  wake();
}

void TpmWorker::set_vm_socket(UniqueFd socket) {
  {
    const std::lock_guard lock(mutex_);
    new_vm_socket_ = std::move(socket);
  }
  wake();
}

void TpmWorker::set_locality(CommandSource source, std::uint8_t locality) {
  localities_.at(static_cast<std::size_t>(source)) = locality;
}

void TpmWorker::stop() {
  stopping_ = true;
  wake();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void TpmWorker::wake() {
  const std::uint64_t one = 1;
  // It fails only when it is about to wake anyway.
  [[maybe_unused]] const auto written = ::write(wake_fd_.get(), &one, sizeof(one));
}

void TpmWorker::run_soon(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake();
}

void TpmWorker::hold(std::function<void()> idle) {
  run_soon([this, idle = std::move(idle)] {
    if (holds_.empty()) {
      hold_deadline_ = Clock::now() + hold_wait_max;
    }
    holds_.push_back(idle);
  });
}

void TpmWorker::resume() {
  run_soon([this] {
    end_hold_if_quiet(true);
    held_ = false;
    keeper_.commit_settled();
  });
}

// -1: for ever.
int TpmWorker::poll_timeout_ms() const {
  return holds_.empty() ? -1 : static_cast<int>(hold_quiet.count());
}

void TpmWorker::end_hold_if_quiet(bool quiet) {
  if (holds_.empty() || (!quiet && Clock::now() < hold_deadline_)) {
    return;
  }
  held_ = true;
  keeper_.come_to_rest();
  for (const auto& idle : std::exchange(holds_, {})) {
    idle();
  }
}

void TpmWorker::run_jobs() {
  std::vector<std::function<void()>> jobs;
  {
    const std::lock_guard lock(mutex_);
    jobs = std::exchange(jobs_, {});
  }
  for (const auto& job : jobs) {
    job();
  }
}

void TpmWorker::answer_wake() {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto taken = ::read(wake_fd_.get(), &count, sizeof(count));
  adopt_vm_socket();
  run_jobs();
  if (!held_) {
    keeper_.commit_without_command();
  }
  for (Client& client : clients_) {
    run_commands(client); // Those that came before they could be taken.
  }
  clients_.remove_if([](const Client& client) { return client.gone; });
}

void TpmWorker::run() {
  while (!stopping_) {
    collect_poll_entries();
    const int ready = ::poll(poll_entries_.data(), poll_entries_.size(), poll_timeout_ms());
    end_hold_if_quiet(ready == 0);
    if (ready <= 0) {
      continue; // Quiet, or a signal that is none of this thread's business.
    }
    // The entries: the wake-up, the listener if there is one, the clients in their order.
    auto client_entry = poll_entries_.end() - static_cast<std::ptrdiff_t>(clients_.size());
    for (Client& client : clients_) {
      if (client_entry->revents != 0) {
        serve_client(client, client_entry->revents);
      }
      ++client_entry;
    }
    clients_.remove_if([](const Client& client) { return client.gone; });
    if (poll_entries_.front().revents != 0) {
      answer_wake();
    }
    accept_clients();
  }
  clients_.clear();
  run_jobs();
  end_hold_if_quiet(true);
}

void TpmWorker::collect_poll_entries() {
  poll_entries_.clear();
  poll_entries_.push_back({.fd = wake_fd_.get(), .events = POLLIN, .revents = 0});
  if (const Listener* listener = listener_) {
    poll_entries_.push_back({.fd = listener->fd(), .events = POLLIN, .revents = 0});
  }
  for (const Client& client : clients_) {
    // What is not polled for waits in its socket. Answers go out in any case.
    const bool polls = takes_commands() || client.connection.has_output();
    poll_entries_.push_back({.fd = polls ? client.connection.fd() : -1,
                             .events = client.connection.poll_events(),
                             .revents = 0});
  }
}

void TpmWorker::adopt_vm_socket() {
  std::optional<UniqueFd> socket;
  {
    const std::lock_guard lock(mutex_);
    socket = std::exchange(new_vm_socket_, std::nullopt);
  }
  if (!socket) {
    return;
  }
  clients_.remove_if([](const Client& client) { return client.source == CommandSource::vm; });
  if (socket->valid()) {
    const bool is_tpm2 = tpm_.version() == TpmVersion::tpm2_0;
    clients_.push_back({CommandConnection(std::move(*socket), is_tpm2), CommandSource::vm});
  }
}

void TpmWorker::accept_clients() {
  const bool has_listener = poll_entries_.size() > 1 && listener_ != nullptr &&
                            poll_entries_[1].fd == listener_.load()->fd();
  if (!has_listener || poll_entries_[1].revents == 0) {
    return;
  }
  UniqueFd socket = listener_.load()->accept();
  if (!socket.valid()) {
    return;
  }
  if (clients_.size() >= server_clients_max) {
    log_.warning("too many clients on the command socket: refused one");
    return;
  }
  const bool is_tpm2 = tpm_.version() == TpmVersion::tpm2_0;
  clients_.push_back({CommandConnection(std::move(socket), is_tpm2), CommandSource::server});
}

void TpmWorker::serve_client(Client& client, short events) {
  CommandConnection& connection = client.connection;
  if (connection.has_output()) {
    client.gone = !connection.flush();
  } else if (!client.waiting && (events & (POLLIN | POLLHUP | POLLERR)) != 0) {
    client.gone = !connection.receive();
  }
  run_commands(client);
}

void TpmWorker::run_commands(Client& client) {
  while (!client.gone && !client.connection.has_output() && !stopping_ && takes_commands()) {
    if (!client.waiting && !(client.waiting = client.connection.next())) {
      return;
    }
    const std::optional<std::span<const std::byte>> response = response_to(client);
    if (!response) {
      return; // The state was handed over this very moment: the command waits.
    }
    const CommandConnection::Command command = *std::exchange(client.waiting, std::nullopt);
    client.gone = !client.connection.respond(command, *response);
  }
}

std::optional<std::span<const std::byte>> TpmWorker::response_to(const Client& client) {
  const CommandConnection::Command& command = *client.waiting;
  if (!keeper_.prepare()) {
    return tpm_.failure_response();
  }
  if (command.bytes.empty()) {
    return tpm_.wrong_size_response();
  }
  std::uint8_t locality = localities_.at(static_cast<std::size_t>(client.source));
  if (command.locality && *command.locality <= locality_max) {
    locality = *command.locality;
  }
  const auto response = tpm_.execute(command.bytes, locality, [this] { return keeper_.may_run(); });
  return response && !keeper_.commit() ? tpm_.failure_response() : response;
}

} // namespace vnvram
