// Brings an image's homes up to date, so that ring space can be used again.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

#include "store/owner_check.h"
#include "store/shared_state.h"
#include "store/superblock_writer.h"

namespace vnvram {

/// Runs checkpoints: on a thread of its own when the ring is half full or the store is idle, on the
/// caller's when somebody asks. The thread also notices that the image's file has lost its name.
///
/// Threads: run() may come from any thread and takes turns, beside commits. committed(),
/// start_thread() and make_room() need the state's mutex, and come from the one that leads a commit
/// (or opens the store), as request_if_due() does, without it. stop() is the last call but run().
class Checkpointer {
public:
  /// What the checkpoint's superblock says beyond it.
  using Edit = std::function<void(format::Superblock&)>;

  Checkpointer(SharedState& state, OwnerCheck& owner, SuperblockWriter& superblocks);
  Checkpointer(const Checkpointer&) = delete;
  Checkpointer& operator=(const Checkpointer&) = delete;
  ~Checkpointer() { stop(); }

  /// Any failure but a refusal poisons. With an edit, the third superblock is written, too.
  /// `prepare`: called first, with no other checkpoint under way; its error is the result, and
  /// poisons nothing.
  Status run(bool even_if_empty, const Edit& edit = {},
             const std::function<Status()>& prepare = {});

  /// Calls it with no checkpoint under way. From the thread that leads a commit, or that does not
  /// wait for one.
  void between_checkpoints(const std::function<void()>& look);

  /// A record was installed. `first`: since the last checkpoint. Needs the mutex.
  void committed(bool first);
  /// Runs what the last commit has made necessary, or asks the thread for it.
  void request_if_due();
  /// Returns when a checkpoint has made room, or the store is poisoned; an error: there was none.
  /// Needs the mutex, and gives it up meanwhile.
  Status make_room(std::unique_lock<std::mutex>& lock);

  void write_counters(StoreCounters& counters) const;

  /// Harmless when it runs. False: it does not, because it should not or because no thread can be
  /// started now. Needs the mutex.
  bool start_thread();
  void stop();

private:
  /// Who runs those that nobody has asked for.
  enum class Mode {
    in_background, ///< A thread, when the ring is half full or nothing happens.
    in_commits,    ///< The commit that makes the ring half full.
    /// The commit that finds no room; nobody before. Whoever reverts a drive underneath does so
    /// when the store is idle, and must find it so: nothing is written but inside a call, and for
    /// deferred writes, as late as they may be.
    for_room,
  };
  static Mode mode_for(const DeviceCapabilities& can, const OpenOptions& options);

  Status carry_out(bool even_if_empty, const Edit& edit);
  [[nodiscard]] bool is_due() const;          // Needs the mutex.
  [[nodiscard]] bool idle_clock_runs() const; // Needs the mutex.
  void thread_main();
  void run_in_background(bool idle);
  void watch_name();

  SharedState& state_;
  OwnerCheck& owner_;
  SuperblockWriter& superblocks_;
  const Mode mode_;
  std::mutex one_at_a_time_; // Held during a checkpoint's I/O; taken before the state's.

  // Under the state's mutex.
  std::condition_variable wake_;
  bool requested_ = false;
  bool stop_ = false;
  std::uint64_t checkpoint_count_ = 0;
  Clock::Time last_checkpoint_{};  // If there was one.
  std::uint64_t commit_count_ = 0; // Tells the thread whether the store is idle.

  bool moved_ = false; // The thread's own: the name leads elsewhere, and that was said.
  std::jthread thread_;
};

} // namespace vnvram
