// The connection to an image's owner, for callers that know no event loop.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include <capnp/rpc-twoparty.h>

#include "base/unique_fd.h"
#include "client/owner_event.h"
#include "rpc/lane_calls.h"
#include "rpc/owner.capnp.h"
#include "rpc/polled_stream.h"
#include "vnvram/result.h"
#include "vnvram/transaction.h"

namespace vnvram {

/// Callers share the connection, and do its work: of those that wait for an answer one polls on the
/// socket, and passes on what comes for the others. Once the connection is lost every call fails:
/// whoever wants another one makes another link (LastingLink).
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
  /// result. Nothing: the connection is lost, and what was asked for may or may not have been done.
  /// Errors: its own; unsupported: the other end does not know it; io: it could not say.
  template <typename T, typename Call> std::optional<Result<T>> try_to_ask(Call call) {
    std::optional<Result<T>> result;
    bool is_lost = false;
    carry_out(
        [&](rpc::Owner::Client& owner) {
          return call(owner).then([&](Result<T>&& answer) { result.emplace(std::move(answer)); },
                                  [&](kj::Exception&& exception) {
                                    is_lost = note_loss(exception);
                                    if (!is_lost) {
                                      result.emplace(failed(exception));
                                    }
                                  });
        },
        [&] { return is_lost || result.has_value(); });
    return result;
  }
  /// The same, and the loss of the connection is an error like others: io.
  template <typename T, typename Call> Result<T> ask(Call call) {
    std::optional<Result<T>> result = try_to_ask<T>(std::move(call));
    return result ? *std::move(result) : Result<T>(loss());
  }
  struct Change {
    const Transaction& transaction;
    /// Called when it is sent, in the order of sending. Returns whether it is deferred.
    std::function<bool()> begun;
    /// Called in the order of the answers.
    LaneCalls::Answered answered;
  };
  /// Asks for it, by the session's lane if the owner has one, and waits for the generation.
  /// Nothing, and errors: as try_to_ask().
  std::optional<Result<std::uint64_t>> try_to_change(const Change& change);
  struct Posted {
    const Transaction& transaction;
    /// Called when it is to be sent, in the order of sending. Returns who is told of the answer, in
    /// the order of the answers, unless the link goes first. Nobody: it is not to be sent.
    std::function<LaneCalls::Answered()> begun;
  };
  /// Sends it by the lane, deferred, and waits for no answer. On return the owner has it, or will
  /// find it in its socket, whatever becomes of this process. False: it was not to be sent, it
  /// cannot go by itself now, or the connection is lost, and it is not known whether it was sent.
  bool post(const Posted& posted);
  /// Until it is done, by what has come. False: the connection is lost.
  bool wait_for(const std::function<bool()>& done);
  /// How the connection was lost.
  [[nodiscard]] Error loss();
  /// The connection is lost when it returns, for whoever waits, too.
  void shut_down();

  /// Who hears of what happens at the owner without anybody asking for it. It must not ask.
  struct Follower {
    std::function<void(const OwnerEvent&)> happened;
    /// Hears of generations, too: of the one that the image is at now, and of the newest of later
    /// ones.
    bool hears_of_generations = false;
  };
  /// Tells of what happens behind the event `after`: on the thread of a caller that waits, or on
  /// this one. Returns when the connection is lost, or stop_following() says so. One at a time.
  void follow(std::uint64_t after, Follower follower);
  /// The same for who hears of failures only.
  void follow_failures(std::uint64_t after, std::function<void(const Error&)> tell);
  void stop_following();

private:
  using Clock = std::chrono::steady_clock;
  using Start = std::function<kj::Promise<void>(rpc::Owner::Client&)>;
  using Done = std::function<bool()>;

  OwnerLink(UniqueFd socket, UniqueFd wake_fd);

  static Error failed(const kj::Exception& exception);
  /// In the loop. False: it is no loss, but how a call has failed.
  bool note_loss(const kj::Exception& exception);
  void carry_out(const Start& start, const Done& done);
  std::optional<Result<std::uint64_t>> change_by_lane(const Change& change);
  /// In the loop. Once, and who does not know it has none.
  kj::Promise<void> ask_for_lane();
  /// What has come, all of it.
  void take_what_has_come();
  /// Until it is done. Returns false if that takes longer than until then.
  bool wait(std::unique_lock<std::mutex>& lock, const Done& done,
            std::optional<Clock::time_point> until);
  /// In the loop's scope, and then everything that is ready.
  template <typename Work> void run_loop(Work work);
  void send_what_waits(std::unique_lock<std::mutex>& lock);
  kj::Promise<void> ask_for_news(std::uint64_t after);
  void tell(const OwnerEvent& event);

  const UniqueFd socket_;
  const UniqueFd wake_fd_; ///< For who follows failures.
  std::mutex mutex_;       ///< Of all that follows.
  std::condition_variable changed_;
  /// For who follows, whom an answer to others does not wake: that would cost each of them a switch
  /// of threads.
  std::condition_variable follows_on_;
  bool polls_ = false; ///< A caller does, with the mutex unlocked.
  bool stops_following_ = false;
  std::uint64_t waiting_count_ = 0; ///< For changed_.
  Clock::time_point last_call_ = Clock::now();
  kj::EventLoop loop_; ///< Without a port: nothing in it waits by itself.
  PolledStream stream_;
  LaneCalls lane_;
  std::optional<capnp::TwoPartyClient> client_;
  std::optional<rpc::Owner::Client> owner_;
  Follower follower_;
  std::uint64_t told_generation_ = 0; ///< For watch().
  std::optional<kj::Promise<void>> following_;
  std::string loss_; ///< Once it is lost.
};

} // namespace vnvram
