#include "rpc/kept_changes.h"

#include <algorithm>
#include <cassert>
#include <utility>
#include <vector>

namespace vnvram {
namespace {

// What one more costs beside its bytes, here and in a transaction.
constexpr std::uint64_t kept_cost_bytes = 256;
// A record may be under way, without it, when a deferred change is taken. The one after that has
// it.
constexpr std::uint64_t generations_until_durable = 2;

std::uint64_t size_bytes_of(const Transaction& transaction) {
  std::uint64_t size_bytes = 0;
  for (const Transaction::Update& update : transaction.updates()) {
    size_bytes += kept_cost_bytes + update.bytes.size();
  }
  return size_bytes;
}

// Ranges, since only those can be deferred.
Transaction copy_of(const Transaction& transaction) {
  Transaction copy;
  for (const Transaction::Update& update : transaction.updates()) {
    if (update.action == Transaction::Action::write_range) {
      copy.write_range(update.blob, update.offset_bytes,
                       std::vector<std::byte>(update.bytes.begin(), update.bytes.end()));
    } else if (update.action == Transaction::Action::zero_range) {
      copy.zero_range(update.blob, update.offset_bytes, update.zero_length_bytes);
    }
  }
  return copy;
}

} // namespace

void KeptChanges::set_limit(std::uint64_t size_max_bytes) {
  const std::lock_guard lock(mutex_);
  size_max_bytes_ = size_max_bytes;
}

// One that was sent and has no answer. There are as many as there are callers, and new ones are at
// the end.
KeptChanges::List::iterator KeptChanges::find(const Call& call) {
  const auto found = std::find_if(list_.rbegin(), list_.rend(),
                                  [&call](const Kept& kept) { return kept.call == &call; });
  assert(found != list_.rend());
  return std::prev(found.base());
}

KeptChanges::List::iterator KeptChanges::erase(List::iterator kept) {
  size_bytes_ -= kept->deferred ? kept->size_bytes : 0;
  return list_.erase(kept);
}

// They become durable in the order in which they were answered: behind the first that is not, none
// is.
template <typename IsDurable>
void KeptChanges::erase_answered(List::iterator end, IsDurable is_durable) {
  for (auto kept = list_.begin(); kept != end;) {
    if (kept->call != nullptr) {
      ++kept;
    } else if (is_durable(*kept)) {
      kept = erase(kept);
    } else {
      return;
    }
  }
}

void KeptChanges::send(Call& call) {
  const std::lock_guard lock(mutex_);
  if (call.answer) { // On a connection that was lost meanwhile: it was sent on another one.
    return;
  }
  if (std::exchange(call.was_sent, true)) {
    list_.splice(list_.end(), list_, find(call));
    return;
  }
  const std::uint64_t size_bytes = size_bytes_of(call.transaction);
  call.deferred =
      call.deferred && (!size_max_bytes_ || size_bytes_ + size_bytes <= *size_max_bytes_);
  size_bytes_ += call.deferred ? size_bytes : 0;
  list_.push_back({.call = &call, .deferred = call.deferred, .size_bytes = size_bytes});
}

void KeptChanges::take_answer(Call& call, const Result<std::uint64_t>& answer, Made made) {
  const std::lock_guard lock(mutex_);
  if (!call.was_sent || call.answer) {
    return;
  }
  const auto kept = find(call);
  call.answer = answer;
  ++answered_count_;
  if (answer) {
    note_success(kept, *answer, made == Made::durable || !kept->deferred);
  } else {
    note_failure(call.transaction, answer.error());
    erase(kept);
  }
}

void KeptChanges::note_failure(const Transaction& transaction, const Error& error) {
  if (error.kind() == ErrorKind::not_found) { // Nobody writes what is not there.
    for (const Transaction::Update& update : transaction.updates()) {
      blobs_.erase(update.blob);
    }
  }
}

void KeptChanges::note_success(List::iterator kept, std::uint64_t generation, bool durable) {
  for (const Transaction::Update& update : kept->call->transaction.updates()) {
    if (!blobs_.contains(update.blob)) {
      blobs_.insert(update.blob);
    }
  }
  // The owner has another image in its place, which is older: what belonged to the first is over.
  if (generation < generation_) {
    erase_answered(list_.end(), [](const Kept&) { return true; });
  }
  generation_ = generation;
  if (durable) {
    erase_answered(kept, [](const Kept&) { return true; });
  }
  erase_answered(list_.end(), [generation](const Kept& earlier) {
    return earlier.generation + generations_until_durable <= generation;
  });
  if (durable || !size_max_bytes_) {
    erase(kept);
    return;
  }
  kept->copy = copy_of(kept->call->transaction);
  kept->call = nullptr;
  kept->generation = generation;
  kept->answered_number = answered_count_;
}

std::optional<Result<std::uint64_t>> KeptChanges::answer_of(const Call& call) const {
  const std::lock_guard lock(mutex_);
  return call.answer;
}

void KeptChanges::forget(const Call& call) {
  const std::lock_guard lock(mutex_);
  if (call.was_sent && !call.answer) {
    erase(find(call));
  }
}

std::uint64_t KeptChanges::answered_count() const {
  const std::lock_guard lock(mutex_);
  return answered_count_;
}

void KeptChanges::are_durable(std::uint64_t answered_count) {
  const std::lock_guard lock(mutex_);
  erase_answered(list_.end(), [answered_count](const Kept& kept) {
    return kept.answered_number <= answered_count;
  });
}

std::uint64_t KeptChanges::generation() const {
  const std::lock_guard lock(mutex_);
  return generation_;
}

std::set<std::string, std::less<>> KeptChanges::blobs() const {
  const std::lock_guard lock(mutex_);
  return blobs_;
}

void KeptChanges::forget_blobs() {
  const std::lock_guard lock(mutex_);
  blobs_.clear();
}

void KeptChanges::image_was_changed() {
  const std::lock_guard lock(mutex_);
  erase_answered(list_.end(), [](const Kept&) { return true; });
  generation_ = 0;
}

Transaction KeptChanges::answered() const {
  const std::lock_guard lock(mutex_);
  Transaction transaction;
  const auto end =
      std::ranges::find_if(list_, [](const Kept& kept) { return kept.call != nullptr; });
  for (auto kept = list_.begin(); kept != end; ++kept) {
    for (const Transaction::Update& update : kept->copy.updates()) {
      if (update.action == Transaction::Action::write_range) {
        transaction.write_range(update.blob, update.offset_bytes, update.bytes);
      } else {
        transaction.zero_range(update.blob, update.offset_bytes, update.zero_length_bytes);
      }
    }
  }
  return transaction;
}

void KeptChanges::repeated(std::uint64_t generation) {
  const std::lock_guard lock(mutex_);
  while (!list_.empty() && list_.front().call == nullptr) {
    erase(list_.begin());
  }
  generation_ = generation;
}

KeptChanges::Call* KeptChanges::unanswered() const {
  const std::lock_guard lock(mutex_);
  return list_.empty() ? nullptr : list_.front().call;
}

} // namespace vnvram
