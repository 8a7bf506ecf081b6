// The changes of one session, in the order of their calls.
#pragma once

#include <atomic>
#include <deque>

#include <kj/async.h>
#include <kj/function.h>

#include "owner/image_keeper.h"
#include "owner/store_use.h"
#include "vnvram/result.h"

namespace vnvram {

/// A change is carried out at once, on the session's thread, unless changes are held, it has to
/// wait by its own word, or others of the session's wait already; then it waits for go_on(), and
/// holds up nothing else. One whose caller has gone meanwhile is not carried out.
///
/// Threads: the session's.
class ChangeQueue {
public:
  /// What is done with the store, or with the error of there being none. False: nothing was done,
  /// it has to wait for something, and will be asked again.
  using Change = kj::Function<bool(Result<StoreUse>& store)>;

  /// The keeper outlives it.
  explicit ChangeQueue(ImageKeeper& keeper) : keeper_(keeper) {}
  ChangeQueue(const ChangeQueue&) = delete;
  ChangeQueue& operator=(const ChangeQueue&) = delete;

  /// Ready when the change was carried out. Its errors are its own.
  kj::Promise<void> run(Change change);
  /// As run(), for who is told by the change itself. What the change throws goes through.
  void add(Change change);
  /// What was waited for may have come: looks, as long as it is not to stop.
  void go_on(const std::atomic<bool>& stops);
  /// The session ends: makes what is told to nobody, as far as it can be. Calls, which get no
  /// answer any more, are not carried out.
  void finish();
  /// The last one that was tried has to wait for a release, which is told behind that.
  [[nodiscard]] bool is_held_up() const { return is_held_up_; }

private:
  struct Waiting {
    Change change;
    kj::Own<kj::PromiseFulfiller<void>> done; ///< Null: nobody waits for it.
  };

  [[nodiscard]] bool carry_out(Change& change);
  /// It was carried out, or nobody wants it any more. False: it has to wait on.
  [[nodiscard]] bool is_over(Waiting& waiting);

  ImageKeeper& keeper_;
  std::deque<Waiting> waiting_;
  bool is_held_up_ = false;
};

} // namespace vnvram
