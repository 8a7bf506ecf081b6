// What the sessions' peers have sent until now is taken, before somebody relies on that.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

namespace vnvram {

/// A front end may tell a guest that a write is done as soon as it is in its session's socket. So
/// whoever is to find in the image all that was answered, as a hold does, first has every session
/// take what its socket has.
///
/// Threads: any.
class Roundup {
public:
  /// `writes`: whether a session has had changes answered before they were done. Who only reads, or
  /// waits for each answer, as an operator does, is not waited for. It is called with the roundup's
  /// mutex held.
  explicit Roundup(std::function<bool(std::uint64_t session)> writes)
      : writes_(std::move(writes)) {}

  /// Of a session. `rings` wakes its thread, which then calls round(), takes what has come, and
  /// calls done().
  void join(std::uint64_t session, std::function<void()> rings) {
    const std::lock_guard lock(mutex_);
    members_.emplace(session, Member{.rings = std::move(rings), .done_round = round_});
  }
  void leave(std::uint64_t session) {
    const std::lock_guard lock(mutex_);
    members_.erase(session);
    changed_.notify_all();
  }
  [[nodiscard]] std::uint64_t round() const {
    const std::lock_guard lock(mutex_);
    return round_;
  }
  void done(std::uint64_t session, std::uint64_t round) {
    const std::lock_guard lock(mutex_);
    members_.at(session).done_round = round;
    changed_.notify_all();
  }

  /// By a session's thread: all others that write have. Who is busy for longer than that is not
  /// waited for: false.
  [[nodiscard]] bool run(std::uint64_t session, std::chrono::milliseconds wait_max) {
    std::unique_lock lock(mutex_);
    const std::uint64_t round = ++round_;
    set_waits(session, true);
    for (const auto& [number, member] : members_) {
      member.rings();
    }
    const bool have_all = changed_.wait_for(lock, wait_max, [&] {
      for (const auto& [number, member] : members_) {
        if (!member.waits && member.done_round < round && writes_(number)) {
          return false;
        }
      }
      return true;
    });
    set_waits(session, false);
    return have_all;
  }

private:
  struct Member {
    std::function<void()> rings;
    std::uint64_t done_round = 0;
    bool waits = false;
  };

  // It takes nothing meanwhile, and others that wait do not wait for it.
  void set_waits(std::uint64_t session, bool waits) {
    if (const auto found = members_.find(session); found != members_.end()) {
      found->second.waits = waits;
      changed_.notify_all();
    }
  }

  const std::function<bool(std::uint64_t session)> writes_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t round_ = 0;
  std::map<std::uint64_t, Member> members_;
};

} // namespace vnvram
