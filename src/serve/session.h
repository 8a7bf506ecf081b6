// One connection to the owner.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <thread>

#include <kj/async.h>

#include "base/unique_fd.h"
#include "serve/bell.h"
#include "serve/owner_parts.h"
#include "serve/scope.h"
#include "service/connection_limits.h"
#include "service/log.h"

namespace vnvram {

class PolledStream;
struct SessionParts;

/// Serves owner.capnp to a peer, on a thread of its own: what it asks for is done on that thread,
/// so that the commits of many sessions share records, and who is slow, silent or hostile has only
/// itself to wait for. Messages are taken one after the other, and none while answers are not
/// taken.
///
/// Threads: one at a time, but for what is said of others.
class Session {
public:
  using Clock = std::chrono::steady_clock;

  /// Of its peer, whose rights are those of the scope, or an operator's if there is none. `ended`
  /// is called when the connection is over, on the session's thread, as the last that it does. What
  /// is shared outlives it. `bell_fd`: of Bell::make_fd(). An exception (std::system_error: no
  /// thread can be started) has done nothing.
  Session(UniqueFd socket, UniqueFd bell_fd, const Peer& peer, std::optional<Scope> scope,
          const OwnerParts& owner, ConnectionLimits limits, const Log& log,
          std::function<void()> ended);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  /// As stop(), and waits for the thread.
  ~Session();

  [[nodiscard]] const Peer& peer() const { return peer_; }
  /// It came by itself, and may be told to go.
  [[nodiscard]] bool is_operators() const { return !scope_; }
  /// It was told to stop, or has ended.
  [[nodiscard]] bool is_stopping() const { return stopping_; }
  [[nodiscard]] bool is_over() const { return over_; }
  /// When something came last. Threads: any.
  [[nodiscard]] Clock::time_point last_active() const { return last_active_; }
  /// Ends the connection behind the call under way. Threads: any.
  void stop();
  /// The same, but what the peer has sent until now is done. Threads: any.
  void finish();

private:
  void run();
  void serve();
  void seal_what_is_due();
  /// The peer has gone, and changes that it has sent by the lane are held.
  bool lingers(SessionParts& parts);
  /// What is in the socket now, if not more.
  void take_what_was_sent(PolledStream& stream, SessionParts& parts, kj::WaitScope& scope);
  /// Returns why the bell has rung; `end` also when the peer has not gone on in time. As long as it
  /// is full, and until `closed_until`, nothing is taken of it.
  unsigned wait(const PolledStream& stream, bool is_full,
                std::optional<Clock::time_point> closed_until);

  UniqueFd socket_;
  const Peer peer_;
  const std::optional<Scope> scope_;
  const OwnerParts& owner_;
  const ConnectionLimits limits_;
  const Log& log_;
  const std::function<void()> ended_;
  std::atomic<Clock::time_point> last_active_ = Clock::now();
  /// Since when its peer may go on with a message that it has begun.
  std::optional<Clock::time_point> unfinished_since_;
  bool hung_up_ = false; ///< What its peer has asked for is done, however fast it was.
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> finishing_ = false;
  std::uint64_t uncounted_bytes_ = 0; ///< For the throttle.
  std::atomic<bool> over_ = false;
  Bell bell_;
  std::jthread thread_;
};

} // namespace vnvram
