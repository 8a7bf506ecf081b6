// What the death of an image's owner could undo, of one session's changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "vnvram/result.h"
#include "vnvram/transaction.h"

namespace vnvram {

/// In the order in which they were sent: the changes that have no answer, and copies of the
/// deferred ones that were answered and may not be durable yet. What is durable is known from what
/// answers say anyway (change() of owner.capnp): so nobody asks for it, and nothing is flushed for
/// it.
///
/// A deferred change that nothing speaks against can be posted: it is copied at once, and whoever
/// asked for it does not wait for the owner's answer. If the owner refuses it nevertheless, it is
/// kept, and failure() says so until an owner has taken it.
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
  /// While failure() says that something before it is missing, the call's answer is that.
  void take_answer(Call& call, const Result<std::uint64_t>& answer, Made made = Made::as_asked);
  [[nodiscard]] std::optional<Result<std::uint64_t>> answer_of(const Call& call) const;
  /// Nobody waits for it any more.
  void forget(const Call& call);

  /// As send(), of one that is deferred and that nobody waits for. Returns its number, from 1 on.
  /// Nothing: it has to be waited for. There is no room to keep it, too many posted ones have no
  /// answer, the last change has failed, or it is not known of the blob that the session may write
  /// so far.
  std::optional<std::uint64_t> post(const Transaction& transaction);
  /// It was not sent after all.
  void take_back(std::uint64_t posted);
  /// As take_answer(), of a posted one.
  void take_posted_answer(std::uint64_t posted, const Result<std::uint64_t>& answer);
  /// The number of the last one that has no answer, of those that touch the blob if one is said; 0:
  /// there is none.
  [[nodiscard]] std::uint64_t last_posted(std::optional<std::string_view> blob = {}) const;
  /// All that were posted until then have an answer.
  [[nodiscard]] bool are_answered(std::uint64_t last_posted) const;
  /// Why a posted one, which touches the blob if one is said, is not in the image.
  [[nodiscard]] Status failure(std::optional<std::string_view> blob = {}) const;

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
  /// Those that were answered, or posted, and are in front of all that wait for an answer, as one.
  [[nodiscard]] Transaction to_repeat();
  /// They are durable, in this generation.
  void repeated(std::uint64_t generation);
  /// The first of all, if it has no answer; else none.
  [[nodiscard]] Call* unanswered() const;

private:
  struct Kept {
    Call* call = nullptr;     ///< Who waits for the answer, until it is there.
    std::uint64_t posted = 0; ///< Its number, until it is answered.
    bool deferred = false;
    std::uint64_t size_bytes = 0;
    Transaction copy = {}; ///< Once it was posted or answered.
    std::uint64_t generation = 0;
    std::uint64_t answered_number = 0;
    bool failed = false;  ///< It was posted, and not taken.
    bool repeats = false; ///< It is one of to_repeat().
  };
  using List = std::list<Kept>;

  [[nodiscard]] bool has_room(std::uint64_t size_bytes) const;
  [[nodiscard]] bool may_be_posted(const Transaction& transaction) const;
  List::iterator find(const Call& call);
  List::iterator erase(List::iterator kept);
  template <typename IsDurable> void erase_answered(List::iterator end, IsDurable is_durable);
  void erase_answered_but(List::iterator this_one);
  void note_failure(const Transaction& transaction, const Error& error);
  void note_written(const Transaction& transaction);
  void note_generation(List::iterator kept, std::uint64_t generation, bool durable);

  mutable std::mutex mutex_; ///< Of all that follows.
  List list_;
  std::optional<std::uint64_t> size_max_bytes_;
  std::uint64_t size_bytes_ = 0; ///< Of the deferred ones.
  std::uint64_t answered_count_ = 0;
  std::uint64_t generation_ = 0;
  /// That the session may write, and as far as it has done so.
  std::map<std::string, std::uint64_t, std::less<>> written_bytes_;
  std::uint64_t last_posted_ = 0;
  std::map<std::uint64_t, List::iterator> posted_; ///< Those without an answer.
  std::optional<Error> failure_;                   ///< Of the first posted one that failed.
  bool last_succeeded_ = true;                     ///< Of those that were answered.
};

} // namespace vnvram
