#include "tpm/tpm_worker.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

#include "service/idle_memory.h"
#include "service/poll_timeout.h"

namespace vnvram {
namespace {

constexpr std::uint8_t locality_max = 4;
// A guest's firmware and kernel ask for much, and then nobody for hours.
constexpr std::chrono::seconds busy_for{1};

} // namespace

Result<UniqueFd> TpmWorker::make_wake_fd() {
  UniqueFd made(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!made.valid()) {
    return Error(ErrorKind::io,
                 "cannot make an event descriptor: " + std::system_category().message(errno));
  }
  return made;
}

TpmWorker::TpmWorker(SoftTpm& tpm, const Custody& custody, TpmStorage& storage, UniqueFd wake_fd,
                     ConnectionLimits limits, const Log& log)
    : tpm_(tpm), custody_(custody), storage_(storage), limits_(limits), log_(log),
      wake_fd_(std::move(wake_fd)), thread_([this] { run(); }) {}

TpmWorker::~TpmWorker() {
  stop();
}

void TpmWorker::serve(const Listener* listener, ListenerClients clients) {
  listener_clients_ = clients;
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

void TpmWorker::pause(std::function<void()> paused) {
  run_soon([this, paused = std::move(paused)] {
    settle();
    std::unique_lock lock(mutex_);
    pauses_ = !stopping_;
    lock.unlock(); // The other one may take its time.
    paused();
    lock.lock();
    went_on_.wait(lock, [this] { return !pauses_; });
  });
}

void TpmWorker::go_on() {
  {
    const std::lock_guard lock(mutex_);
    pauses_ = false;
  }
  went_on_.notify_all();
}

TpmWorker::VmConnection TpmWorker::vm_connection() {
  const std::lock_guard lock(mutex_);
  if (new_vm_socket_) {
    return {.socket = new_vm_socket_->get(), .rest = {}};
  }
  for (const Client& client : clients_) {
    if (client.source == CommandSource::vm && !client.gone) {
      return {.socket = client.connection.fd(),
              .rest = client.connection.rest(client.waiting.has_value())};
    }
  }
  return {};
}

Result<CommandConnection> TpmWorker::vm_connection_on(UniqueFd socket,
                                                      const CommandConnection::Rest& rest) {
  CommandConnection connection = connection_on(std::move(socket));
  const Status fits = connection.go_on(rest);
  return fits.ok() ? Result<CommandConnection>(std::move(connection)) : fits.error();
}

void TpmWorker::go_on_with(CommandConnection vm) {
  // A function that is kept has to be one that could be copied.
  run_soon([this, taken = std::make_shared<CommandConnection>(std::move(vm))] {
    clients_.push_back({std::move(*taken), CommandSource::vm});
  });
}

void TpmWorker::stop() {
  stopping_ = true;
  go_on();
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
  run_soon([this, idle = std::move(idle)] { holds_.add(idle); });
}

void TpmWorker::resume() {
  run_soon([this] {
    end_hold_if_quiet(true);
    held_ = false;
    storage_.resume();
  });
}

int TpmWorker::poll_timeout_ms(Clock::time_point now) const {
  if (!holds_.empty()) {
    return static_cast<int>(HoldRequests::quiet_for.count());
  }
  PollTimeout timeout(now);
  timeout.until(rests_from_);
  if (door_) {
    timeout.until(door_->rests_until());
  }
  for (const Client& client : clients_) {
    if (client.connection.is_unfinished() && !client.waiting) {
      timeout.until(client.connection.last_active() + limits_.unfinished_max);
    }
  }
  return timeout.milliseconds();
}

// Asked about one that had nothing to say just now.
bool TpmWorker::goes_on(const Client& client, Clock::time_point now) const {
  if (!client.connection.is_unfinished() || client.waiting ||
      now < client.connection.last_active() + limits_.unfinished_max) {
    return true;
  }
  log_.warning(client.source == CommandSource::vm
                   ? "the machine has not gone on with a TPM command that it has begun: dropped"
                   : "a client has not gone on with a TPM command that it has begun: dropped");
  return false;
}

bool TpmWorker::drop_a_silent_one() {
  const auto may_go = [](const Client& client) {
    return client.source == CommandSource::server && !client.waiting;
  };
  auto silent = clients_.end();
  for (auto client = clients_.begin(); client != clients_.end(); ++client) {
    if (may_go(*client) && (silent == clients_.end() ||
                            client->connection.last_active() < silent->connection.last_active())) {
      silent = client;
    }
  }
  if (silent == clients_.end()) {
    return false;
  }
  log_.info("a silent client of the command socket makes room for another one");
  clients_.erase(silent);
  return true;
}

void TpmWorker::end_hold_if_quiet(bool quiet) {
  const std::vector<std::function<void()>> fulfilled = holds_.take_fulfilled(quiet);
  if (fulfilled.empty()) {
    return;
  }
  held_ = true;
  storage_.hold();
  for (const auto& idle : fulfilled) {
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

void TpmWorker::settle() {
  if (!held_) {
    storage_.commit_without_command();
  }
}

void TpmWorker::answer_wake() {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto taken = ::read(wake_fd_.get(), &count, sizeof(count));
  adopt_vm_socket();
  run_jobs();
  settle();
  for (Client& client : clients_) {
    run_commands(client); // Those that came before they could be taken.
  }
  remove_gone();
}

void TpmWorker::remove_gone() {
  const auto count = clients_.remove_if([](const Client& client) { return client.gone; });
  if (count > 0 && lost_) {
    lost_();
  }
}

void TpmWorker::run() {
  while (!stopping_) {
    const Clock::time_point before = Clock::now();
    collect_poll_entries(before);
    const int ready = ::poll(poll_entries_.data(), poll_entries_.size(), poll_timeout_ms(before));
    end_hold_if_quiet(ready == 0);
    if (ready < 0) {
      continue; // A signal that is none of this thread's business.
    }
    serve_clients();
    if (poll_entries_.front().revents != 0) {
      answer_wake();
    }
    accept_clients();
    rest_if_quiet(ready == 0);
  }
  clients_.clear();
  run_jobs();
  end_hold_if_quiet(true);
}

void TpmWorker::rest_if_quiet(bool quiet) {
  const Clock::time_point now = Clock::now();
  if (!quiet) {
    rests_from_ = now + busy_for;
  } else if (rests_from_ && now >= *rests_from_) {
    rests_from_.reset();
    give_back_all_memory();
  }
}

void TpmWorker::serve_clients() {
  const Clock::time_point now = Clock::now();
  // The entries: the wake-up, the listener if there is one, the clients in their order.
  auto entry = poll_entries_.end() - static_cast<std::ptrdiff_t>(clients_.size());
  for (Client& client : clients_) {
    if (entry->revents != 0) {
      serve_client(client, entry->revents);
    } else {
      client.gone = !goes_on(client, now);
    }
    ++entry;
  }
  remove_gone();
}

void TpmWorker::collect_poll_entries(Clock::time_point now) {
  poll_entries_.clear();
  poll_entries_.push_back({.fd = wake_fd_.get(), .events = POLLIN, .revents = 0});
  if (const Listener* listener = listener_; listener != nullptr && !door_) {
    door_.emplace(*listener, limits_, log_);
  }
  if (door_) {
    poll_entries_.push_back(door_->poll_entry(now));
  }
  for (Client& client : clients_) {
    // What is not polled for waits in its socket. Answers go out in any case.
    const bool polls = takes_commands() || client.connection.has_output();
    if (!polls) {
      client.connection.stay_active();
    }
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
  const auto replaced =
      clients_.remove_if([](const Client& client) { return client.source == CommandSource::vm; });
  if (socket->valid()) {
    clients_.push_back({connection_on(std::move(*socket)), CommandSource::vm});
  } else if (replaced > 0 && lost_) {
    lost_();
  }
}

CommandConnection TpmWorker::connection_on(UniqueFd socket) const {
  const bool is_tpm2 = tpm_.version() == TpmVersion::tpm2_0;
  return {std::move(socket), is_tpm2, tpm_.command_max_bytes()};
}

void TpmWorker::accept_clients() {
  if (!door_ || poll_entries_.at(1).revents == 0) {
    return;
  }
  UniqueFd socket = door_->accept(Clock::now(), [this] { return drop_a_silent_one(); });
  if (!socket.valid()) {
    return;
  }
  if (clients_.size() >= limits_.clients_max && !drop_a_silent_one()) {
    log_.warning("too many clients on the command socket, all with commands: refused one");
    return;
  }
  Client& client =
      clients_.emplace_back(Client{connection_on(std::move(socket)), listener_clients_.source});
  client.ends_with_answer = listener_clients_.one_command_each;
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
  client.gone = client.gone || client.is_done();
  while (!client.gone && !client.connection.has_output() && !stopping_ && takes_commands()) {
    if (!client.waiting && !(client.waiting = client.connection.next())) {
      return;
    }
    const std::optional<std::span<const std::byte>> response = response_to(client);
    if (!response) {
      return; // The state was handed over this very moment: the command waits.
    }
    const CommandConnection::Command command = *std::exchange(client.waiting, std::nullopt);
    client.answered = true;
    client.gone = !client.connection.respond(command, *response) || client.is_done();
  }
}

std::optional<std::span<const std::byte>> TpmWorker::response_to(const Client& client) {
  const CommandConnection::Command& command = *client.waiting;
  if (!storage_.prepare()) {
    if (tpm_.has_changes()) {
      settle(); // What powered it off may have changed its state, and comes before any answer.
    }
    return tpm_.failure_response();
  }
  if (command.bytes.empty()) {
    return tpm_.wrong_size_response();
  }
  const auto set = [&](std::uint8_t locality) { set_locality(client.source, locality); };
  const auto answer =
      tpm_.is_off() ? std::nullopt : locality_command_.answer(command.bytes, tpm_.version(), set);
  if (answer) {
    return answer;
  }
  std::uint8_t locality = localities_.at(static_cast<std::size_t>(client.source));
  if (command.locality && *command.locality <= locality_max) {
    locality = *command.locality;
  }
  const auto response =
      tpm_.execute(command.bytes, locality, [this] { return !held_ && custody_.may_run(); });
  return response && !storage_.commit() ? tpm_.failure_response() : response;
}

} // namespace vnvram
