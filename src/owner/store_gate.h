// Who may use a store at this moment: many callers at once, or the one who exchanges it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

#include "owner/watch.h"

namespace vnvram {

/// A lock with four kinds of users. Readers and changers go in at any time and together; who reads
/// several things as of one moment waits for the changers inside and keeps others out, but never
/// those that have waited for the one before; a hold keeps changers out; whoever has it closed is
/// alone.
///
/// Threads: enter(), try_to_change(), is_held() and the watch by any; the others by one at a time.
/// A thread that is inside must not wait for another one to come in, nor close, nor hold.
class StoreGate {
public:
  enum class Purpose { read, read_together, change };

  /// Somebody is inside for as long as it exists.
  class Pass {
  public:
    Pass(Pass&& other) noexcept
        : gate_(std::exchange(other.gate_, nullptr)), purpose_(other.purpose_) {}
    Pass& operator=(Pass&&) = delete;
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;
    ~Pass();

  private:
    friend class StoreGate;
    Pass(StoreGate& gate, Purpose purpose) : gate_(&gate), purpose_(purpose) {}

    StoreGate* gate_; ///< None once it was moved from.
    Purpose purpose_;
  };

  /// Nobody is inside, and nobody comes in, for as long as it exists.
  class Closure {
  public:
    Closure(const Closure&) = delete;
    Closure& operator=(const Closure&) = delete;
    ~Closure();

  private:
    friend class StoreGate;
    explicit Closure(StoreGate& gate) : gate_(gate) {}

    StoreGate& gate_;
  };

  /// Waits while it is closed, and a changer while changes are held.
  [[nodiscard]] Pass enter(Purpose purpose);
  /// As a changer, but nothing if changes are held.
  [[nodiscard]] std::optional<Pass> try_to_change();
  /// Keeps everybody out, and waits for those who are inside.
  [[nodiscard]] Closure close();
  /// Keeps changers out until release(), and waits for those who are inside. Twice is once.
  void hold();
  void release();
  [[nodiscard]] bool is_held() const;
  /// Told of each end of a hold.
  [[nodiscard]] Watch<>& releases() { return releases_; }

private:
  [[nodiscard]] bool may_change() const {
    return !closed_ && !held_ && together_count_ == 0 &&
           (together_waiting_count_ == 0 || changers_turn_);
  }
  [[nodiscard]] bool may_read_together() const {
    return !closed_ && changer_count_ == 0 && (held_ || !changers_turn_);
  }
  void leave(Purpose purpose);
  void open();
  /// Of those inside.
  [[nodiscard]] std::uint64_t& count_of(Purpose purpose);
  template <typename Condition> void wait(std::unique_lock<std::mutex>& lock, Condition condition);
  template <typename Condition>
  void wait_to_change(std::unique_lock<std::mutex>& lock, Condition condition);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Watch<> releases_;
  std::uint64_t reader_count_ = 0;
  std::uint64_t changer_count_ = 0;
  std::uint64_t together_count_ = 0;
  std::uint64_t changer_waiting_count_ = 0;
  std::uint64_t together_waiting_count_ = 0;
  /// Those that have waited for a reading together go in before the next one.
  bool changers_turn_ = false;
  std::uint64_t waiting_count_ = 0; ///< Threads that a change of the others may let go on.
  bool closed_ = false;
  bool held_ = false;
};

} // namespace vnvram
