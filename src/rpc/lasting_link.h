// The connection to an image's owner, which may die and be replaced.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "rpc/connector.h"
#include "rpc/owner_link.h"
#include "vnvram/result.h"

namespace vnvram {

/// When a link is lost, the first of those that notice connects again, has the session resumed, and
/// the others wait for it. Who waits has its own patience; when that of a call is over the
/// connection is given up for good, and so it is when the session is refused.
///
/// Threads: calls by any, at any time before the destructor.
class LastingLink {
public:
  using Link = std::shared_ptr<OwnerLink>;
  using Clock = std::chrono::steady_clock;

  struct Setup {
    Connector connect; ///< None: a link that is lost is the last one.
    std::chrono::milliseconds patience{};
    /// Makes of a new connection what the lost one was, before anybody else uses it. Errors: io,
    /// absent, poisoned: tried again; others: given up.
    std::function<Status(OwnerLink&)> resume;
    /// Something is lost if nobody connects again: who watches does it, before a call comes.
    std::function<bool()> is_urgent;
    std::function<void(const std::string&)> log;
  };

  LastingLink(std::unique_ptr<OwnerLink> first, Setup setup)
      : setup_(std::move(setup)), link_(std::move(first)) {}
  LastingLink(const LastingLink&) = delete;
  LastingLink& operator=(const LastingLink&) = delete;

  /// As OwnerLink::ask(); what the loss of a connection leaves without an answer is asked again.
  /// Errors: also why the connection was given up.
  template <typename T, typename Call> Result<T> ask(Call call) {
    Result<Link> link = current();
    while (link) {
      if (std::optional<Result<T>> answer = (*link)->template try_to_ask<T>(call)) {
        return *std::move(answer);
      }
      link = next(*link);
    }
    return link.error();
  }

  /// The one to ask on. Errors: why the connection was given up.
  Result<Link> current();
  /// The one in the place of a link that is lost; waits for it.
  Result<Link> next(const Link& lost) { return wait_for_another(lost, false); }
  /// The same for who watches, and has no call that waits: it never gives up by itself.
  Result<Link> next_to_watch(const Link& lost) { return wait_for_another(lost, true); }
  /// Nobody waits any more; who watches does not, either.
  void stop();

private:
  Result<Link> wait_for_another(const Link& lost, bool watches);
  /// Until there is a link, or the time has come. Unlocks meanwhile.
  void reconnect(std::unique_lock<std::mutex>& lock, Clock::time_point until);
  /// One attempt. Returns why it has failed.
  Status try_to_reconnect(std::unique_lock<std::mutex>& lock);
  void give_up(const Error& why);

  const Setup setup_;
  std::mutex mutex_; ///< Of all that follows.
  std::condition_variable changed_;
  Link link_;
  bool is_lost_ = false;
  Clock::time_point lost_at_;
  bool is_connecting_ = false;  ///< One does, with the mutex unlocked.
  Link resuming_;               ///< What it has connected to.
  std::string obstacle_;        ///< Why there is no link yet.
  std::optional<Error> failed_; ///< For good.
  bool stopping_ = false;
};

} // namespace vnvram
