// Group commit: who writes the next record, and for whom.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "store/completions.h"
#include "store/directory.h"
#include "store/stage.h"
#include "vnvram/result.h"
#include "vnvram/transaction.h"

namespace vnvram {

/// Requests in the order of their arrival. One thread at a time leads: it carries out a group of
/// them in one record, answers them, and hands the lead to the next one that waits. So a lone
/// committer writes its record itself, with no other thread between it and the device, and those
/// that arrive meanwhile share the next record.
///
/// Threads: all calls may come from any thread. The one that leads is the thread of a caller, or
/// the queue's own if the next request is an asynchronous one.
class CommitQueue {
public:
  /// A change of the directory itself: works on a copy, logs through the stage.
  using DirectoryChange = std::function<Status(Directory&, Stage&)>;
  /// A read that commits were always ahead of: while it has its turn, none is under way. It writes
  /// nothing, and must not throw.
  using SlowRead = std::function<void()>;

private:
  /// Where one request waits. Shared, because whoever wakes it up does so outside the mutex, and
  /// the request may be gone by then.
  struct Wake {
    enum class State { waits, leads, done };
    std::atomic<State> state = State::waits;
    std::shared_ptr<Wake> next; // in a list of those that are to be woken up
    void tell(State news) {
      state.store(news);
      state.notify_one();
    }
  };

public:
  class Request {
  public:
    /// What is to be done outlives the request.
    using Work = std::variant<const Transaction*, const DirectoryChange*, const SlowRead*>;
    explicit Request(Work work, Clock::Time begun = {}) : work_(work), begun_(begun) {}

    /// nullptr: it is another kind of request.
    [[nodiscard]] const Transaction* transaction() const { return get<Transaction>(); }
    [[nodiscard]] const DirectoryChange* directory_change() const { return get<DirectoryChange>(); }
    [[nodiscard]] const SlowRead* slow_read() const { return get<SlowRead>(); }
    /// When somebody asked for it.
    [[nodiscard]] Clock::Time begun() const { return begun_; }

    Status result;

  private:
    friend class CommitQueue;
    /// An asynchronous one.
    Request(Transaction transaction, Completions::Prepared answer, Clock::Time begun)
        : begun_(begun), owned_(std::move(transaction)), answer_(std::move(answer)) {
      work_ = &*owned_;
    }
    template <typename Kind> [[nodiscard]] const Kind* get() const {
      const auto* work = std::get_if<const Kind*>(&work_);
      return work == nullptr ? nullptr : *work;
    }
    [[nodiscard]] bool is_async() const { return owned_.has_value(); }

    Work work_;
    const Clock::Time begun_;
    std::shared_ptr<Wake> wake_; // only if it had to wait
    bool done_ = false;
    // Asynchronous ones only:
    std::optional<Transaction> owned_;
    Completions::Prepared answer_; // may be empty: nobody wants to know
  };

  /// Carries out the first n >= 1 of the waiting requests, sets their results and returns n. Called
  /// by one thread at a time.
  using Round = std::function<std::size_t(std::span<Request* const> waiting)>;
  /// Takes the answer of an asynchronous request; must not wait.
  using Deliver = std::function<void(Completions::Prepared answer)>;

  CommitQueue(Round round, Deliver deliver)
      : round_(std::move(round)), deliver_(std::move(deliver)) {}
  /// Nothing may be waiting (drain).
  ~CommitQueue();

  /// Returns when the request was carried out.
  Status run(Request& request);
  /// Returns at once; the answer goes to Deliver.
  void run_async(Transaction transaction, std::function<void(Status)> callback, Clock::Time begun);
  /// Waits until nothing is waiting or under way.
  void drain();

private:
  using Lock = std::unique_lock<std::mutex>;
  // Whoever leads must go on, also without memory: else all that wait would wait for ever.
  void lead(Lock& lock, const Request* own) noexcept;
  std::size_t lead_round(Lock& lock);
  std::shared_ptr<Wake> hand_over();
  std::shared_ptr<Wake> answer(std::size_t count);
  void committer_main();

  const Round round_;
  const Deliver deliver_;
  std::mutex mutex_;
  std::deque<Request*> waiting_;
  bool led_ = false;
  std::condition_variable idle_;

  // Leads when an asynchronous request is the next; started with the first of them.
  std::jthread committer_;
  std::condition_variable committer_wake_;
  bool committer_leads_ = false;
  bool stop_ = false;
};

} // namespace vnvram
