#include "tpm/tpm_worker.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace vnvram {
namespace {

constexpr std::size_t server_clients_max = 32;
constexpr std::uint8_t locality_max = 4;

} // namespace

TpmWorker::TpmWorker(SoftTpm& tpm, Store& store, const Log& log)
    : tpm_(tpm), store_(store), log_(log), wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
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

void TpmWorker::run() {
  while (!stopping_) {
    collect_poll_entries();
    if (::poll(poll_entries_.data(), poll_entries_.size(), -1) < 0) {
      continue; // A signal that is none of this thread's business.
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
      std::uint64_t count = 0;
      [[maybe_unused]] const auto taken = ::read(wake_fd_.get(), &count, sizeof(count));
      adopt_vm_socket();
      [[maybe_unused]] const bool committed = commit_changes();
    }
    accept_clients();
  }
  clients_.clear();
  [[maybe_unused]] const bool committed = commit_changes();
}

void TpmWorker::collect_poll_entries() {
  poll_entries_.clear();
  poll_entries_.push_back({.fd = wake_fd_.get(), .events = POLLIN, .revents = 0});
  if (const Listener* listener = listener_) {
    poll_entries_.push_back({.fd = listener->fd(), .events = POLLIN, .revents = 0});
  }
  for (const Client& client : clients_) {
    poll_entries_.push_back(
        {.fd = client.connection.fd(), .events = client.connection.poll_events(), .revents = 0});
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
  } else if ((events & (POLLIN | POLLHUP | POLLERR)) != 0) {
    client.gone = !connection.receive();
  }
  run_commands(client);
}

void TpmWorker::run_commands(Client& client) {
  while (!client.gone && !client.connection.has_output() && !stopping_) {
    const auto command = client.connection.next();
    if (!command) {
      return;
    }
    std::uint8_t locality = localities_.at(static_cast<std::size_t>(client.source));
    if (command->locality && *command->locality <= locality_max) {
      locality = *command->locality;
    }
    auto response = command->bytes.empty() ? tpm_.wrong_size_response()
                                           : tpm_.execute(command->bytes, locality);
    if (!commit_changes()) {
      response = tpm_.failure_response();
    }
    client.gone = !client.connection.respond(*command, response);
  }
}

bool TpmWorker::commit_changes() {
  if (tpm_.failed()) {
    return false;
  }
  const SoftTpm::Changes changes = tpm_.take_changes();
  if (changes.transaction.empty()) {
    return true;
  }
  const std::uint64_t generation_before = changes.restored ? store_.info().generation : 0;
  const Status committed = store_.commit(changes.transaction);
  if (!committed.ok()) {
    tpm_.fail();
    log_.error("the TPM goes into failure mode, because a commit failed: " +
               committed.error().text());
    return false;
  }
  if (changes.restored) {
    report_restored(generation_before);
  }
  return true;
}

void TpmWorker::report_restored(std::uint64_t generation_before) {
  log_.info(
      fmt::format("a restored TPM state has replaced that of generation {}; it is generation {}",
                  generation_before, store_.info().generation));
}

} // namespace vnvram
