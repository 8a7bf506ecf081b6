// What lies between a client and its owner, and breaks.
#pragma once

#include <sys/socket.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <list>
#include <mutex>
#include <span>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "rpc/connector.h"
#include "rpc/message_framing.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {

/// Passes messages on, one by one, and counts them over all connections.
class Passage {
public:
  enum class Way { to_owner, to_client };
  /// Instead of the message of this number, from 1 on, the connection breaks, and this is done.
  struct Fault {
    Way way = Way::to_owner;
    std::size_t number = 0;
    std::function<void()> strikes;
  };

  explicit Passage(Connector owner) : owner_(std::move(owner)) {}
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;
  ~Passage() {
    for (Connection& connection : connections_) {
      cut(connection);
    }
    connections_.clear(); // Their threads end.
  }

  void set_fault(Fault fault) {
    const std::lock_guard lock(mutex_);
    fault_ = std::move(fault);
  }
  [[nodiscard]] bool has_struck() {
    const std::lock_guard lock(mutex_);
    return struck_;
  }
  [[nodiscard]] std::size_t count(Way way) {
    const std::lock_guard lock(mutex_);
    return count_of(way);
  }
  /// Until so many have gone that way.
  void wait_for(Way way, std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return count_of(way) >= count; });
  }
  /// Each message to the owner may be made another one: then it returns true.
  using Rewrite = std::function<bool(Bytes& message)>;
  void set_rewrite(Rewrite rewrite) { rewrite_ = std::move(rewrite); }
  [[nodiscard]] std::size_t rewritten_count() const { return rewritten_count_; }
  /// None goes to the client while it is shut.
  void set_shut(bool shut) {
    const std::lock_guard lock(mutex_);
    shut_ = shut;
    changed_.notify_all();
  }
  void break_all() {
    const std::lock_guard lock(mutex_);
    for (Connection& connection : connections_) {
      cut(connection);
    }
    shut_ = false;
    changed_.notify_all();
  }

  [[nodiscard]] Connector connector() {
    return [this]() -> Result<UniqueFd> {
      Result<UniqueFd> owner = owner_();
      if (!owner) {
        return owner.error();
      }
      const std::lock_guard lock(mutex_);
      if (striking_) { // It is about to die, and nobody may hear of it any more.
        return Error(ErrorKind::absent, "the way to the owner is broken");
      }
      std::array<int, 2> ends{};
      EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
      Connection& made = connections_.emplace_back();
      made.owner = *std::move(owner);
      made.client = UniqueFd(ends[1]);
      made.to_owner = std::jthread([this, &made] { pass_on(made, Way::to_owner); });
      made.to_client = std::jthread([this, &made] { pass_on(made, Way::to_client); });
      return UniqueFd(ends[0]);
    };
  }

private:
  struct Connection {
    UniqueFd owner;
    UniqueFd client;
    std::jthread to_owner;
    std::jthread to_client;
  };

  [[nodiscard]] std::size_t& count_of(Way way) {
    return way == Way::to_owner ? to_owner_count_ : to_client_count_;
  }
  static void cut(const Connection& connection) {
    ::shutdown(connection.client.get(), SHUT_RDWR);
    ::shutdown(connection.owner.get(), SHUT_RDWR);
  }
  void pass_on(const Connection& connection, Way way) {
    const bool to_owner = way == Way::to_owner;
    const int from = (to_owner ? connection.client : connection.owner).get();
    const int to = (to_owner ? connection.owner : connection.client).get();
    MessageFraming framing;
    Bytes buffer(4096);
    Bytes message;
    for (;;) {
      const std::ptrdiff_t count = ::recv(from, buffer.data(), buffer.size(), 0);
      if (count <= 0) {
        break;
      }
      for (const std::byte& each : std::span(buffer).first(static_cast<std::size_t>(count))) {
        message.push_back(each);
        framing.take(std::span(&each, 1));
        if (!framing.is_between_messages()) {
          continue;
        }
        if (strikes(connection, way)) {
          return;
        }
        if (to_owner && rewrite_ && rewrite_(message)) {
          ++rewritten_count_;
        }
        note_passed(way); // First: who has the answer to it finds it counted.
        (void)::send(to, message.data(), message.size(), MSG_NOSIGNAL);
        message.clear();
      }
    }
    cut(connection);
  }
  bool strikes(const Connection& connection, Way way) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return way == Way::to_owner || !shut_; });
    if (struck_ || fault_.way != way || count_of(way) + 1 != fault_.number) {
      return false;
    }
    struck_ = true;
    striking_ = true;
    cut(connection);
    lock.unlock();
    fault_.strikes();
    lock.lock();
    striking_ = false;
    return true;
  }
  void note_passed(Way way) {
    const std::lock_guard lock(mutex_);
    ++count_of(way);
    changed_.notify_all();
  }

  const Connector owner_;
  Rewrite rewrite_;
  std::atomic<std::size_t> rewritten_count_ = 0;
  std::mutex mutex_; ///< Of all that follows.
  std::condition_variable changed_;
  std::size_t to_owner_count_ = 0;
  std::size_t to_client_count_ = 0;
  Fault fault_;
  bool struck_ = false;
  bool striking_ = false;
  bool shut_ = false;
  std::list<Connection> connections_;
};

} // namespace vnvram::test
