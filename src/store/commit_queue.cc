#include "store/commit_queue.h"

#include <cassert>

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
  waiting_.push_back(&request);
  if (led_) {
    request.wake.wait(lock, [&] { return request.done || request.leads; });
  } else {
    led_ = true;
  }
  if (!request.done) {
    lead(lock, &request);
  }
  return request.result;
}

void CommitQueue::run_async(Transaction transaction, std::function<void(Status)> callback) {
  auto request = std::make_unique<Request>();
  request->owned = std::move(transaction);
  request->transaction = &*request->owned;
  request->callback = std::move(callback);
  const std::lock_guard lock(mutex_);
  if (!committer_.joinable()) {
    committer_ = std::jthread([this] { committer_main(); });
  }
  waiting_.push_back(request.release()); // answer() takes it back
  if (!led_) {
    led_ = true;
    committer_leads_ = true;
    committer_wake_.notify_one();
  }
}

// Rounds until `own` is answered; nullptr: until the next one that waits is a synchronous request.
void CommitQueue::lead(Lock& lock, const Request* own) {
  assert(led_);
  do {
    const std::vector<Request*> waiting(waiting_.begin(), waiting_.end());
    lock.unlock();
    const std::size_t count = round_(waiting);
    lock.lock();
    assert(count >= 1 && count <= waiting.size());
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
    const std::span<Request* const> answered = std::span(waiting).first(count);
    for (Request* request : answered) {
      request->done = true;
    }
    const bool go_on =
        own == nullptr ? !waiting_.empty() && waiting_.front()->is_async() : !own->done;
    if (!go_on) {
      hand_over(lock); // First: the next record need not wait until everyone is awake.
      answer(answered);
      return;
    }
    answer(answered);
  } while (true);
}

void CommitQueue::hand_over(Lock& lock) {
  assert(lock.owns_lock());
  if (waiting_.empty()) {
    led_ = false;
    idle_.notify_all();
  } else if (waiting_.front()->is_async()) {
    committer_leads_ = true;
    committer_wake_.notify_one();
  } else {
    waiting_.front()->leads = true;
    waiting_.front()->wake.notify_one();
  }
}

void CommitQueue::answer(std::span<Request* const> requests) {
  for (Request* request : requests) {
    if (request->is_async()) {
      const std::unique_ptr<Request> owned(request);
      if (owned->callback != nullptr) {
        deliver_(std::move(owned->callback), std::move(owned->result));
      }
    } else {
      request->wake.notify_one(); // Under the mutex: the waiter may end the request's life at once.
    }
  }
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
  }
}

} // namespace vnvram
