// What the death of an image's owner could undo, of one session's changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "vnvram/result.h"
#include "vnvram/transaction.h"

namespace vnvram {

/// In the order in which they were sent: the changes that have no answer, and copies of the
/// deferred ones that were answered and may not be durable yet. What is durable is known from what
/// answers say anyway (change() of owner.capnp): so nobody asks for it, and nothing is flushed for
/// it.
///
/// Threads: any. Changes are sent, and their answers taken, one at a time in the order of the
/// connection.
class KeptChanges {
public:
  /// Of a caller that waits for the answer, or has forgotten the call.
  struct Call {
    const Transaction& transaction;
    bool deferred = false;
    std::optional<Result<std::uint64_t>> answer = std::nullopt;
    bool was_sent = false;
  };

  /// No copy is kept unless there is a limit: of a session that ends with its connection.
  KeptChanges() = default;
  KeptChanges(const KeptChanges&) = delete;
  KeptChanges& operator=(const KeptChanges&) = delete;

  /// What is kept may take so much, with what each costs. It fits a transaction.
  void set_limit(std::uint64_t size_max_bytes);

  /// It is sent now, behind all others. One that there is no room to keep is not deferred.
  void send(Call& call);
  enum class Made { as_asked, durable };
  /// The generation that was answered, or why not. Once; what comes after that says nothing new.
  void take_answer(Call& call, const Result<std::uint64_t>& answer, Made made = Made::as_asked);
  [[nodiscard]] std::optional<Result<std::uint64_t>> answer_of(const Call& call) const;
  /// Nobody waits for it any more.
  void forget(const Call& call);

  /// How many changes were answered until now.
  [[nodiscard]] std::uint64_t answered_count() const;
  /// Those that were answered until then are durable.
  void are_durable(std::uint64_t answered_count);

  // ---- On a new connection

  /// The image's, as it was answered last.
  [[nodiscard]] std::uint64_t generation() const;
  /// The blobs that the session has changed: it has the right to write them.
  [[nodiscard]] std::set<std::string, std::less<>> blobs() const;
  /// The rights to others than those that it will change from now on were given up.
  void forget_blobs();
  /// The content was changed underneath: what belonged to the one before is over.
  void image_was_changed();
  /// Those that were answered and are in front of all that were not, as one. It borrows what is
  /// kept until repeated().
  [[nodiscard]] Transaction answered() const;
  /// They are durable, in this generation.
  void repeated(std::uint64_t generation);
  /// The first of all, if it has no answer; else none.
  [[nodiscard]] Call* unanswered() const;

private:
  struct Kept {
    Call* call = nullptr; ///< Until it is answered.
    bool deferred = false;
    std::uint64_t size_bytes = 0;
    Transaction copy = {}; ///< From then on.
    std::uint64_t generation = 0;
    std::uint64_t answered_number = 0;
  };
  using List = std::list<Kept>;

  List::iterator find(const Call& call);
  List::iterator erase(List::iterator kept);
  template <typename IsDurable> void erase_answered(List::iterator end, IsDurable is_durable);
  void note_failure(const Transaction& transaction, const Error& error);
  void note_success(List::iterator kept, std::uint64_t generation, bool durable);

  mutable std::mutex mutex_; ///< Of all that follows.
  List list_;
  std::optional<std::uint64_t> size_max_bytes_;
  std::uint64_t size_bytes_ = 0; ///< Of the deferred ones.
  std::uint64_t answered_count_ = 0;
  std::uint64_t generation_ = 0;
  std::set<std::string, std::less<>> blobs_; ///< That the session may write.
};

} // namespace vnvram
