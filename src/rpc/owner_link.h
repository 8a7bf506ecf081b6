// The connection to an image's owner, for callers that know no event loop.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <capnp/rpc-twoparty.h>

#include "base/unique_fd.h"
#include "rpc/owner.capnp.h"
#include "rpc/polled_stream.h"
#include "vnvram/result.h"

namespace vnvram {

/// Callers share the connection, and do its work: of those that wait for an answer one polls on the
/// socket, and passes on what comes for the others. Once the connection is lost every call fails:
/// whoever wants another one makes another link.
///
/// Threads: calls by any, at any time before the destructor.
class OwnerLink {
public:
  /// Waits for the other end's first sign of life. Errors: io (none came within 5 s, or there is
  /// something else that listens there).
  static Result<std::unique_ptr<OwnerLink>> open(UniqueFd socket);
  OwnerLink(const OwnerLink&) = delete;
  OwnerLink& operator=(const OwnerLink&) = delete;
  ~OwnerLink();

  /// Asks by `call(rpc::Owner::Client&)`, which returns a kj::Promise<Result<T>>, and waits for the
  /// result. Errors: its own; io: the connection is lost, and what was asked for may or may not
  /// have been done; unsupported: the other end does not know it.
  template <typename T, typename Call> Result<T> ask(Call call) {
    std::optional<Result<T>> result;
    carry_out(
        [&](rpc::Owner::Client& owner) {
          return call(owner).then(
              [&result](Result<T>&& answer) { result.emplace(std::move(answer)); },
              [&result](kj::Exception&& exception) { result.emplace(lost(exception)); });
        },
        [&result] { return result.has_value(); });
    return *std::move(result);
  }
  /// Calls `tell` with what fails at the owner from now on without anybody asking for it, and with
  /// the loss of the connection. On the thread of a caller that waits, or on one of its own, which
  /// is started for it. `tell` must not ask. Once.
  Status follow_failures(std::function<void(const Error&)> tell);

private:
  using Clock = std::chrono::steady_clock;
  using Start = std::function<kj::Promise<void>(rpc::Owner::Client&)>;
  using Done = std::function<bool()>;

  OwnerLink(UniqueFd socket, UniqueFd wake_fd);

  static Error lost(const kj::Exception& exception);
  void carry_out(const Start& start, const Done& done);
  /// Until it is done. Returns false if that takes longer than until then.
  bool wait(std::unique_lock<std::mutex>& lock, const Done& done,
            std::optional<Clock::time_point> until);
  /// In the loop's scope, and then everything that is ready.
  template <typename Work> void run_loop(Work work);
  void send_what_waits(std::unique_lock<std::mutex>& lock);
  void follow_in_background();
  kj::Promise<void> follow(std::uint64_t after);

  const UniqueFd socket_;
  const UniqueFd wake_fd_; ///< For the thread in the background.
  std::mutex mutex_;       ///< Of all that follows, but for the thread.
  std::condition_variable changed_;
  bool polls_ = false; ///< A caller does, with the mutex unlocked.
  bool stopping_ = false;
  std::uint64_t waiting_count_ = 0; ///< For changed_.
  Clock::time_point last_call_ = Clock::now();
  kj::EventLoop loop_; ///< Without a port: nothing in it waits by itself.
  PolledStream stream_;
  std::optional<capnp::TwoPartyClient> client_;
  std::optional<rpc::Owner::Client> owner_;
  std::function<void(const Error&)> tell_;
  std::optional<kj::Promise<void>> following_;
  std::jthread background_;
};

} // namespace vnvram
