// Who may use a store at this moment: many callers at once, or the one who exchanges it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>

namespace vnvram {

/// A lock with three kinds of users. Readers and changers go in at any time and together; a hold
/// keeps changers out; whoever has it closed is alone.
///
/// Threads: enter() by any; the others by one at a time. A thread that is inside must not wait for
/// another one to come in, nor close, nor hold.
class StoreGate {
public:
  enum class Purpose { read, change };

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
  /// Keeps everybody out, and waits for those who are inside.
  [[nodiscard]] Closure close();
  /// Keeps changers out until release(), and waits for those who are inside. Twice is once.
  void hold();
  void release();

private:
  void leave(Purpose purpose);
  void open();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t reader_count_ = 0;
  std::uint64_t changer_count_ = 0;
  std::uint64_t waiting_count_ = 0; ///< Threads that a change of the others may let go on.
  bool closed_ = false;
  bool held_ = false;
};

} // namespace vnvram
