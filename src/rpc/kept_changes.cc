#include "rpc/kept_changes.h"

#include <algorithm>
#include <cassert>
#include <limits>
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

// Whoever posts one more waits for an answer first: the owner has not come to them, or holds
// changes.
constexpr std::size_t posted_max = 64;

// Ranges, since only those can be deferred.
void append_copy(const Transaction& transaction, Transaction& copy) {
  for (const Transaction::Update& update : transaction.updates()) {
    if (update.action == Transaction::Action::write_range) {
      copy.write_range(update.blob, update.offset_bytes,
                       std::vector<std::byte>(update.bytes.begin(), update.bytes.end()));
    } else if (update.action == Transaction::Action::zero_range) {
      copy.zero_range(update.blob, update.offset_bytes, update.zero_length_bytes);
    }
  }
}

// Beyond it nothing of a blob is known but by asking.
std::uint64_t end_bytes(const Transaction::Update& update) {
  const std::uint64_t length_bytes = update.action == Transaction::Action::zero_range
                                         ? update.zero_length_bytes
                                         : update.bytes.size();
  constexpr std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
  return length_bytes > max - update.offset_bytes ? max : update.offset_bytes + length_bytes;
}

bool is_range(const Transaction::Update& update) {
  return update.action == Transaction::Action::write_range ||
         update.action == Transaction::Action::zero_range;
}

bool touches(const Transaction& transaction, std::string_view blob) {
  return std::ranges::any_of(transaction.updates(), [blob](const Transaction::Update& update) {
    return update.blob == blob;
  });
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
// is, nor behind a posted one that was not taken.
template <typename IsDurable>
void KeptChanges::erase_answered(List::iterator end, IsDurable is_durable) {
  for (auto kept = list_.begin(); kept != end;) {
    if (kept->call != nullptr) {
      ++kept;
    } else if (kept->posted == 0 && is_durable(*kept)) {
      kept = erase(kept);
    } else {
      return;
    }
  }
}

void KeptChanges::erase_answered_but(List::iterator this_one) {
  failure_.reset();
  for (auto kept = list_.begin(); kept != list_.end();) {
    const bool is_answered = kept->call == nullptr && (kept->posted == 0 || kept->failed);
    kept = is_answered && kept != this_one ? erase(kept) : std::next(kept);
  }
}

bool KeptChanges::has_room(std::uint64_t size_bytes) const {
  return !size_max_bytes_ || size_bytes_ + size_bytes <= *size_max_bytes_;
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
  call.deferred = call.deferred && has_room(size_bytes);
  size_bytes_ += call.deferred ? size_bytes : 0;
  list_.push_back({.call = &call, .deferred = call.deferred, .size_bytes = size_bytes});
}

void KeptChanges::take_answer(Call& call, const Result<std::uint64_t>& answer, Made made) {
  const std::lock_guard lock(mutex_);
  if (!call.was_sent || call.answer) {
    return;
  }
  const auto kept = find(call);
  call.answer = answer && failure_ ? *failure_ : answer;
  ++answered_count_;
  last_succeeded_ = answer.ok();
  if (answer) {
    note_written(call.transaction);
    note_generation(kept, *answer, made == Made::durable || !kept->deferred);
  } else {
    note_failure(call.transaction, answer.error());
    erase(kept);
  }
}

void KeptChanges::note_failure(const Transaction& transaction, const Error& error) {
  if (error.kind() == ErrorKind::not_found) { // Nobody writes what is not there.
    for (const Transaction::Update& update : transaction.updates()) {
      written_bytes_.erase(update.blob);
    }
  }
}

void KeptChanges::note_written(const Transaction& transaction) {
  for (const Transaction::Update& update : transaction.updates()) {
    const auto found = written_bytes_.try_emplace(update.blob, 0).first;
    found->second = is_range(update) ? std::max(found->second, end_bytes(update)) : 0;
  }
}

void KeptChanges::note_generation(List::iterator kept, std::uint64_t generation, bool durable) {
  // The owner has another image in its place, which is older: what belonged to the first is over.
  if (generation < generation_) {
    erase_answered_but(kept);
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
  if (kept->call != nullptr) {
    append_copy(kept->call->transaction, kept->copy);
  }
  kept->call = nullptr;
  kept->posted = 0;
  kept->generation = generation;
  kept->answered_number = answered_count_;
}

bool KeptChanges::may_be_posted(const Transaction& transaction) const {
  return size_max_bytes_ && last_succeeded_ && !failure_ && posted_.size() < posted_max &&
         std::ranges::all_of(transaction.updates(), [this](const Transaction::Update& update) {
           const auto found = written_bytes_.find(update.blob);
           return found != written_bytes_.end() && is_range(update) &&
                  end_bytes(update) <= found->second;
         });
}

std::optional<std::uint64_t> KeptChanges::post(const Transaction& transaction) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t size_bytes = size_bytes_of(transaction);
  if (!may_be_posted(transaction) || !has_room(size_bytes)) {
    return std::nullopt;
  }
  size_bytes_ += size_bytes;
  list_.push_back({.posted = ++last_posted_, .deferred = true, .size_bytes = size_bytes});
  append_copy(transaction, list_.back().copy);
  posted_.emplace(last_posted_, std::prev(list_.end()));
  return last_posted_;
}

void KeptChanges::take_back(std::uint64_t posted) {
  const std::lock_guard lock(mutex_);
  if (const auto found = posted_.extract(posted); !found.empty()) {
    erase(found.mapped());
  }
}

// One that failed stays as if it were answered, and nothing behind it is known to be durable: an
// owner that comes after this one may take it.
void KeptChanges::take_posted_answer(std::uint64_t posted, const Result<std::uint64_t>& answer) {
  const std::lock_guard lock(mutex_);
  const auto found = posted_.extract(posted);
  if (found.empty()) { // It was repeated on another connection.
    return;
  }
  ++answered_count_;
  last_succeeded_ = answer.ok();
  if (answer) {
    note_generation(found.mapped(), *answer, false);
  } else {
    found.mapped()->failed = true;
    failure_ = failure_.value_or(answer.error());
  }
}

std::uint64_t KeptChanges::last_posted(std::optional<std::string_view> blob) const {
  const std::lock_guard lock(mutex_);
  const auto last = std::find_if(posted_.rbegin(), posted_.rend(), [blob](const auto& posted) {
    return !blob || touches(posted.second->copy, *blob);
  });
  return last == posted_.rend() ? 0 : last->first;
}

bool KeptChanges::are_answered(std::uint64_t last_posted) const {
  const std::lock_guard lock(mutex_);
  return posted_.empty() || posted_.begin()->first > last_posted;
}

Status KeptChanges::failure(std::optional<std::string_view> blob) const {
  const std::lock_guard lock(mutex_);
  const bool failed = failure_ && (!blob || std::ranges::any_of(list_, [blob](const Kept& kept) {
                        return kept.failed && touches(kept.copy, *blob);
                      }));
  return failed ? Status(*failure_) : Status();
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
  std::set<std::string, std::less<>> blobs;
  for (const auto& [blob, end_bytes] : written_bytes_) {
    blobs.insert(blob);
  }
  return blobs;
}

void KeptChanges::forget_blobs() {
  const std::lock_guard lock(mutex_);
  written_bytes_.clear();
}

void KeptChanges::image_was_changed() {
  const std::lock_guard lock(mutex_);
  posted_.clear();
  failure_.reset();
  for (auto kept = list_.begin(); kept != list_.end();) {
    kept = kept->call == nullptr ? erase(kept) : std::next(kept);
  }
  generation_ = 0;
}

// A copy: of a connection that is lost answers may still be taken, and what they say is durable is
// not kept any more.
Transaction KeptChanges::to_repeat() {
  const std::lock_guard lock(mutex_);
  Transaction transaction;
  const auto end =
      std::ranges::find_if(list_, [](const Kept& kept) { return kept.call != nullptr; });
  for (auto kept = list_.begin(); kept != end; ++kept) {
    append_copy(kept->copy, transaction);
    kept->repeats = true;
  }
  return transaction;
}

// What is posted on the lost connection meanwhile is taken back.
void KeptChanges::repeated(std::uint64_t generation) {
  const std::lock_guard lock(mutex_);
  while (!list_.empty() && list_.front().repeats) {
    posted_.erase(list_.front().posted);
    erase(list_.begin());
  }
  if (std::ranges::none_of(list_, &Kept::failed)) {
    failure_.reset();
  }
  last_succeeded_ = true;
  generation_ = generation;
}

KeptChanges::Call* KeptChanges::unanswered() const {
  const std::lock_guard lock(mutex_);
  return list_.empty() ? nullptr : list_.front().call;
}

} // namespace vnvram
