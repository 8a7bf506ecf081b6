#include "store/commit_queue.h"

#include <cassert>
#include <new>
#include <utility>

namespace vnvram {

CommitQueue::~CommitQueue() {
  {
    const std::lock_guard lock(mutex_);
    assert(waiting_.empty());
    stop_ = true;
    committer_wake_.notify_one();
  }
  if (committer_.joinable()) {
    committer_.join(); // Before the members that it uses go.
  }
}

Status CommitQueue::run(Request& request) {
  Lock lock(mutex_);
  const std::shared_ptr<Wake> wake = led_ ? std::make_shared<Wake>() : nullptr;
  request.wake_ = wake;
  waiting_.push_back(&request); // No exception from here on: others know of it.
  if (wake != nullptr) {
    lock.unlock();
    wake->state.wait(Wake::State::waits);
    if (wake->state == Wake::State::done) {
      return request.result;
    }
    lock.lock();
    request.wake_.reset(); // Nobody need wake up who leads.
  }
  led_ = true;
  lead(lock, &request);
  return request.result;
}

void CommitQueue::run_async(Transaction transaction, std::function<void(Status)> callback,
                            Clock::Time begun) {
  Completions::Prepared answer;
  if (callback != nullptr) {
    answer.push_back({std::move(callback), Status{}});
  }
  std::unique_ptr<Request> request(new Request(std::move(transaction), std::move(answer), begun));
  const std::lock_guard lock(mutex_);
  if (!committer_.joinable()) {
    committer_ = std::jthread([this] { committer_main(); });
  }
  waiting_.push_back(request.get());
  static_cast<void>(request.release()); // answer() takes it back
  if (!led_) {
    led_ = true;
    committer_leads_ = true;
    committer_wake_.notify_one();
  }
}

// Rounds until `own` is answered; nullptr: until the next one that waits is a synchronous request.
// Leaves the mutex unlocked.
void CommitQueue::lead(Lock& lock, const Request* own) noexcept {
  bool go_on = true;
  while (go_on) {
    assert(led_ && lock.owns_lock());
    std::shared_ptr<Wake> answered = answer(lead_round(lock));
    go_on = own == nullptr ? !waiting_.empty() && waiting_.front()->is_async() : !own->done_;
    const std::shared_ptr<Wake> next = go_on ? nullptr : hand_over();
    lock.unlock();
    // Unless it goes on, the queue is not touched any more: it may end as soon as all are awake.
    if (next != nullptr) { // First: the next record need not wait until everyone is awake.
      next->tell(Wake::State::leads);
    }
    while (answered != nullptr) {
      const std::shared_ptr<Wake> wake = std::exchange(answered, std::move(answered->next));
      wake->tell(Wake::State::done);
    }
    if (go_on) {
      lock.lock();
    }
  }
}

// Returns how many of those that wait were carried out.
std::size_t CommitQueue::lead_round(Lock& lock) {
  std::vector<Request*> all;
  std::span<Request* const> waiting(&waiting_.front(), 1);
  try {
    all.assign(waiting_.begin(), waiting_.end());
    waiting = all;
  } catch (const std::bad_alloc&) { // Then one alone.
  }
  lock.unlock();
  const std::size_t count = round_(waiting);
  lock.lock();
  assert(count >= 1 && count <= waiting.size());
  return count;
}

// Needs the mutex. Returns who leads from now on, if it must be told.
std::shared_ptr<CommitQueue::Wake> CommitQueue::hand_over() {
  if (waiting_.empty()) {
    led_ = false;
    idle_.notify_all();
    return nullptr;
  }
  if (waiting_.front()->is_async()) {
    committer_leads_ = true;
    committer_wake_.notify_one();
    return nullptr;
  }
  return waiting_.front()->wake_;
}

// Needs the mutex, which keeps asynchronous answers in order. Returns who is to be woken up.
std::shared_ptr<CommitQueue::Wake> CommitQueue::answer(std::size_t count) {
  std::shared_ptr<Wake> wakes;
  std::shared_ptr<Wake>* end = &wakes;
  for (; count > 0; --count) {
    Request* const request = waiting_.front();
    waiting_.pop_front();
    request->done_ = true;
    if (request->is_async()) {
      const std::unique_ptr<Request> owned(request);
      if (!owned->answer_.empty()) {
        owned->answer_.front().result = std::move(owned->result);
        deliver_(std::move(owned->answer_));
      }
    } else if (request->wake_ != nullptr) {
      *end = request->wake_;
      end = &request->wake_->next;
    }
  }
  return wakes;
}

void CommitQueue::drain() {
  Lock lock(mutex_);
  idle_.wait(lock, [&] { return !led_ && waiting_.empty(); });
}

void CommitQueue::committer_main() {
  Lock lock(mutex_);
  for (;;) {
    committer_wake_.wait(lock, [&] { return committer_leads_ || stop_; });
    if (!committer_leads_) {
      return;
    }
    committer_leads_ = false;
    lead(lock, nullptr);
    lock.lock();
  }
}

} // namespace vnvram
