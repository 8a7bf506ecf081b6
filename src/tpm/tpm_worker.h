// The thread that runs TPM commands and makes their changes durable.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include <poll.h>

#include "base/system_clock.h"
#include "base/unique_fd.h"
#include "service/connection_limits.h"
#include "service/door.h"
#include "service/listener.h"
#include "service/log.h"
#include "soft_tpm/soft_tpm.h"
#include "tpm/command_connection.h"
#include "tpm/custody.h"
#include "tpm/hold_requests.h"
#include "tpm/locality_command.h"
#include "tpm/tpm_storage.h"

namespace vnvram {

/// Where commands come from. Each has a locality of its own, so that a client of the command socket
/// cannot change the one that the VM's commands run with.
enum class CommandSource { vm, server };

/// Reads commands, runs them, commits what they and the control commands before them changed, and
/// only then answers. It is the only thread that waits for the device.
///
/// A commit that fails is logged and puts the TPM in failure mode: the command whose commit it was
/// gets the failure response, and so does every later one.
///
/// While it is held, or Custody does not let one run, commands wait in their sockets; but for a TPM
/// that is off, whose answer is a failure in any case: QEMU asks one before it goes on.
///
/// Clients of the listener are limited as those of the control sockets (ControlServer) are; one
/// whose command waits is not silent, and the VM's socket is no such client.
///
/// More than 30 methods: it is one loop over one list of clients, each step of which uses the
/// others; what could be taken from it (Door, CommandConnection, HoldRequests) has been.
///
/// Threads: the calls may come from any thread.
class TpmWorker {
public:
  /// What its thread is woken by. Errors: io (no descriptor left).
  static Result<UniqueFd> make_wake_fd();
  /// Starts the thread, which takes commands once serve() is called. All but the limits outlive it.
  TpmWorker(SoftTpm& tpm, const Custody& custody, TpmStorage& storage, UniqueFd wake_fd,
            ConnectionLimits limits, const Log& log);
  TpmWorker(const TpmWorker&) = delete;
  TpmWorker& operator=(const TpmWorker&) = delete;
  /// As stop().
  ~TpmWorker();

  /// What clients of a listener are.
  struct ListenerClients {
    CommandSource source = CommandSource::server;
    bool one_command_each = false; ///< The connection ends with the answer.
  };
  /// Takes commands from the VM's socket and, if there is a listener, from its clients. To be said
  /// once; the listener outlives the worker.
  void serve(const Listener* listener, ListenerClients clients);
  void serve(const Listener* listener) { serve(listener, ListenerClients()); }
  /// Told, on the worker's thread, of each end of a connection that commands came by. To be said
  /// before serve().
  void watch_lost_clients(std::function<void()> lost) { lost_ = std::move(lost); }
  /// A command may set the locality of those that follow, up to this one. To be said before
  /// serve().
  void take_locality_commands(std::uint8_t locality_max) {
    locality_command_.take_up_to(locality_max);
  }
  /// Commands come from this socket from now on, instead of an earlier one. An invalid one: from
  /// none.
  void set_vm_socket(UniqueFd socket);
  /// For a socket that has served another process. Errors: those of CommandConnection::go_on().
  [[nodiscard]] Result<CommandConnection> vm_connection_on(UniqueFd socket,
                                                           const CommandConnection::Rest& rest);
  /// Commands come from it from now on.
  void go_on_with(CommandConnection vm);
  void set_locality(CommandSource source, std::uint8_t locality);
  /// The TPM has changes that no command is going to commit, or what decides whether commands are
  /// taken has changed: look.
  void wake();

  /// Takes no more commands, once none has come for a moment, or after a second in any case; then
  /// calls back, on the worker's thread: the TPM is idle, and nothing is on its way to the device.
  void hold(std::function<void()> idle);
  void resume();
  [[nodiscard]] bool is_held() const { return held_; }
  /// Runs this on the worker's thread, soon, between two commands. What is still waiting at stop()
  /// is run by it.
  void run_soon(std::function<void()> job);

  /// Finishes the command under way, has all that has changed committed, and calls back on its
  /// thread, which then does nothing until go_on(), or stop().
  void pause(std::function<void()> paused);
  void go_on();
  /// While it is paused: the VM's socket, which stays ours, and what of its stream is in memory.
  struct VmConnection {
    int socket = -1; ///< None: there is no VM.
    CommandConnection::Rest rest;
  };
  [[nodiscard]] VmConnection vm_connection();
  [[nodiscard]] std::uint8_t locality(CommandSource source) const {
    return localities_.at(static_cast<std::size_t>(source));
  }

  /// Finishes the command under way and what run_soon() was given, and ends the thread.
  void stop();

private:
  struct Client {
    CommandConnection connection;
    CommandSource source;
    std::optional<CommandConnection::Command> waiting = std::nullopt; ///< Read, and not run yet.
    bool gone = false;
    bool ends_with_answer = false;
    bool answered = false;

    [[nodiscard]] bool is_done() const {
      return ends_with_answer && answered && !connection.has_output();
    }
  };

  using Clock = std::chrono::steady_clock;

  void run();
  void serve_clients();
  [[nodiscard]] int poll_timeout_ms(Clock::time_point now) const;
  [[nodiscard]] bool goes_on(const Client& client, Clock::time_point now) const;
  bool drop_a_silent_one();
  void end_hold_if_quiet(bool quiet);
  void rest_if_quiet(bool quiet);
  void run_jobs();
  /// What control commands have changed becomes durable now, where that is allowed.
  void settle();
  void answer_wake();
  void adopt_vm_socket();
  [[nodiscard]] CommandConnection connection_on(UniqueFd socket) const;
  void accept_clients();
  void remove_gone();
  void collect_poll_entries(Clock::time_point now);
  void serve_client(Client& client, short events);
  void run_commands(Client& client);
  /// To the command that waits. Nothing: not now.
  [[nodiscard]] std::optional<std::span<const std::byte>> response_to(const Client& client);
  [[nodiscard]] bool takes_commands() const {
    return tpm_.is_off() || (!held_ && custody_.serves());
  }

  SoftTpm& tpm_;
  const Custody& custody_;
  TpmStorage& storage_;
  const ConnectionLimits limits_;
  const Log& log_;
  const UniqueFd wake_fd_;
  std::atomic<const Listener*> listener_ = nullptr;
  ListenerClients listener_clients_; ///< Written before the listener.
  std::function<void()> lost_;
  std::atomic<bool> stopping_ = false;
  std::array<std::atomic<std::uint8_t>, 2> localities_{};
  LocalityCommand locality_command_;
  std::mutex mutex_;
  std::optional<UniqueFd> new_vm_socket_;   ///< Under mutex_.
  std::vector<std::function<void()>> jobs_; ///< Under mutex_.
  std::condition_variable went_on_;
  bool pauses_ = false;            ///< Under mutex_.
  std::atomic<bool> held_ = false; ///< Written by the thread only.
  /// Under way: the thread's own.
  SystemClock system_clock_;
  HoldRequests holds_{system_clock_};
  std::optional<Door> door_; ///< To the listener; the thread's own, as are the next three.
  std::optional<Clock::time_point> rests_from_; ///< If nothing comes until then.
  std::list<Client> clients_;
  std::vector<pollfd> poll_entries_;
  std::jthread thread_;
};

} // namespace vnvram
