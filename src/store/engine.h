// The engine. What it upholds (design.md, section 5), each with a test that names it:
//
//   1. An acknowledged commit survives any power cut.
//   2. After any cut the state is exactly that of some generation, never older than the last
//      acknowledged one.
//   3. Several blobs of one transaction are all there, or none.
//   4. Recovery may be cut at any point, any number of times.
//   5. A damaged byte is noticed before it is returned.
//   6. No path but create writes to an image that is not ours.
//   7. Two owners never both succeed in committing on a device that can lock.
//   8. What is on the image is a prefix of the deferred writes, in the order of their calls and
//      each whole, with every commit behind those that were taken before it; never without one
//      that was taken before a flush, a commit or a close that has succeeded.
//
// How: a commit is one contiguous durable write of a self-checking record, chained to the one
// before, one in flight at a time. A checkpoint writes pages, leaves and index to the slots that
// the current superblock does not point to, flushes, then makes the other superblock durable; only
// then is ring space free again. Opening for writing flushes what it recovered and starts a new
// epoch.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "format/codec.h"
#include "format/superblock.h"
#include "store/alarm_clock.h"
#include "store/commit_queue.h"
#include "store/completions.h"
#include "store/deferred_writes.h"
#include "store/directory.h"
#include "store/owner_watch.h"
#include "store/page_store.h"
#include "store/ring_scanner.h"
#include "store/stage.h"
#include "vnvram/store.h"

namespace vnvram {

/// Why a sealed image is not written to.
[[nodiscard]] Error sealed_error(const std::string& name, std::uint64_t generation);

class Engine {
public:
  using CommitCallback = Store::CommitCallback;

  static Result<std::unique_ptr<Engine>> open(std::unique_ptr<BlockDevice> device,
                                              OpenOptions options);
  /// An engine on a device whose image does not exist yet: nothing points to what it writes until
  /// close() makes the first superblock durable. The device is locked, and blank.
  static Result<std::unique_ptr<Engine>> create(std::unique_ptr<BlockDevice> device,
                                                const format::Superblock& superblock,
                                                OpenOptions options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  Status register_blobs(std::span<const BlobSpec> specs);
  Status register_blobs(std::span<const NewBlob> blobs);
  Status remove_blob(std::string_view name);
  Result<std::vector<std::byte>> read(std::string_view name);
  Status read_range(std::string_view name, std::uint64_t offset_bytes, std::span<std::byte> bytes);
  Status commit(const Transaction& transaction);
  void commit_async(Transaction transaction, CommitCallback callback);
  Status write_range_deferred(std::string_view name, std::uint64_t offset_bytes,
                              std::span<const std::byte> bytes);
  Status zero_range_deferred(std::string_view name, std::uint64_t offset_bytes,
                             std::uint64_t length_bytes);
  Status flush();
  [[nodiscard]] int event_fd() const { return completions_.event_fd(); }
  std::size_t dispatch() { return completions_.dispatch(); }
  std::vector<BlobInfo> blobs() const;
  Result<BlobInfo> blob(std::string_view name) const;
  StoreInfo info() const;
  Status checkpoint();
  [[nodiscard]] std::uint64_t image_block_count() const;
  /// Takes more of the device into the image.
  Status grow(std::uint64_t image_block_count);
  Status seal();
  Status unseal();
  Status adopt_after_fork();
  Result<bool> is_current();
  Status close();
  /// Closes without a last checkpoint: nothing more is written.
  void abandon();
  /// As abandon(). Afterwards only the destructor may be called.
  std::unique_ptr<BlockDevice> give_up_device();

private:
  Engine(std::unique_ptr<BlockDevice> device, const format::Superblock& superblock,
         OpenOptions options);
  [[nodiscard]] bool writes() const { return options_.access == Access::read_write; }

  // Opening (engine_open.cc).
  static Result<std::unique_ptr<Engine>> open_for_writing(std::unique_ptr<BlockDevice> device,
                                                          OpenOptions options);
  static Result<std::unique_ptr<Engine>> open_for_reading(std::unique_ptr<BlockDevice> device,
                                                          const OpenOptions& options);
  Status start(); // the threads and what the options want registered
  Status recover();
  Status begin_epoch();

  // Committing.
  std::size_t commit_round(std::span<CommitQueue::Request* const> waiting);
  std::size_t carry_out(std::span<CommitQueue::Request* const> waiting);
  Status begin_round(const CommitQueue::Request& first);
  std::size_t change_directory(CommitQueue::Request& request);
  std::size_t stage_group(std::span<CommitQueue::Request* const> waiting);
  std::size_t add_to_stage(std::span<CommitQueue::Request* const> waiting);
  Status run_directory_change(CommitQueue::DirectoryChange change);
  /// `changed_directory` takes the directory's place if the record changes it.
  Status write_record(Directory* changed_directory = nullptr);
  Status check_owner();
  Status put_record(std::uint64_t offset_bytes, std::span<const std::byte> record);
  Result<RingPlace> wait_for_room(std::uint32_t block_count);
  void install(const RingPlace& place, std::uint64_t checksum, Directory* changed_directory);
  void install_changes(const RingPlace& place, std::uint64_t checksum,
                       Directory* changed_directory) noexcept; // needs mutex_
  void know_attributes_of(std::span<const BlobSpec> specs);
  Status refuse_commit() const;
  Status refuse_any_write() const;
  Status refuse_worn_counters() const;
  [[nodiscard]] std::optional<Error> reason_to_refuse() const; // needs mutex_
  [[nodiscard]] BlobInfo info_of(const Blob& blob) const;      // needs mutex_
  Error poison(const Error& cause, std::string_view during);
  Error poison(const std::exception& failure, std::string_view during);
  [[nodiscard]] Error of_this_image(const Error& error) const;

  // Reading (engine_read.cc).
  struct PinnedPages {
    std::uint64_t generation = 0;
    std::vector<PageRef> pages;
  };
  /// What is done with the pages of a range while nothing can change: the mutex is held.
  using AtOneMoment = std::function<void(std::span<const SpaceRange> ranges)>;
  struct Wanted {
    std::string_view name;
    std::uint64_t offset_bytes = 0;
    std::optional<std::uint64_t> length_bytes; ///< Not set: to the end.
    /// The pages that a write needs, of whatever generations they are, with that of the blob's
    /// directory entry as one more range, of no bytes.
    bool to_change = false;
  };
  /// True if `pinned` holds all pages that are wanted; to be read, as of one generation.
  Result<bool> collect(const Wanted& wanted, PinnedPages& pinned, std::vector<SpaceRange>& ranges,
                       const AtOneMoment& at_one_moment);
  /// As collect(); what is missing is loaded, for the next try.
  Result<bool> try_to_pin(const Wanted& wanted, PinnedPages& pinned,
                          std::vector<SpaceRange>& ranges, const AtOneMoment& at_one_moment);
  Result<std::vector<SpaceRange>> pin(const Wanted& wanted, PinnedPages& pinned,
                                      const AtOneMoment& at_one_moment);
  /// The bytes go where `room_for` their count says.
  Status read_into(std::string_view name, std::uint64_t offset_bytes,
                   std::optional<std::uint64_t> length_bytes,
                   const std::function<std::span<std::byte>(std::size_t size_bytes)>& room_for);
  Status check_readable(const Blob& blob) const;
  Error read_error(const Error& error, std::string_view name);

  // Deferred writes (engine_deferred.cc).
  static DeferredWrites::Limits deferred_limits(const format::Geometry& geometry,
                                                std::uint64_t cache_size_bytes);
  /// Collects a write by `collect` as soon as there is room for it; else it is a commit.
  Status defer(const Wanted& written, const Transaction& transaction,
               const std::function<void()>& collect);
  /// Takes what was collected into the stage, which is empty. It comes before all that is added.
  Status stage_deferred();
  Status commit_deferred();
  void commit_overdue();

  // Checkpoints.
  /// Who runs those that nobody has asked for.
  enum class CheckpointMode {
    in_background, ///< A thread, when the ring is half full or nothing happens.
    in_commits,    ///< The commit that makes the ring half full.
    /// The commit that finds no room; nobody before. Whoever reverts a drive underneath does so
    /// when the store is idle, and must find it so: nothing is written but inside a call, and for
    /// deferred writes, as late as they may be.
    for_room,
  };
  static CheckpointMode checkpoint_mode_for(const DeviceCapabilities& can,
                                            const OpenOptions& options);
  Status run_checkpoint(bool even_if_empty,
                        const std::function<void(format::Superblock&)>& edit = {});
  Status carry_out_checkpoint(bool even_if_empty,
                              const std::function<void(format::Superblock&)>& edit);
  Status write_superblock(const format::Superblock& superblock);
  /// Where this owner keeps the third copy up to date, if anywhere.
  void find_third_copy();
  Status write_third_copy(const format::Superblock& superblock);
  Status mark_sealed(bool sealed);
  void request_checkpoint();
  [[nodiscard]] bool checkpoint_is_due() const; // needs mutex_
  /// Needs mutex_; harmless when it runs. False: it does not, because it should not or because no
  /// thread can be started now.
  bool start_checkpointer();
  void checkpointer_main();
  /// How something ended that no caller has asked for.
  void note_background(const Status& done);
  void stop_checkpointer();
  void watch_name();

  std::unique_ptr<BlockDevice> device_;
  const OpenOptions options_;
  OwnerWatch owner_watch_;
  const CheckpointMode checkpoint_mode_;
  const format::Codec codec_;
  format::Geometry geometry_;
  PageStore pages_;
  Stage stage_;                            // only the thread that leads a commit
  std::uint64_t blocks_since_opening_ = 0; // of the ring; likewise
  std::uint64_t epoch_number_;             // fixed once the store is open
  std::uint64_t epoch_random_;

  /// Guards what follows, and installs with it. Never held during I/O.
  mutable std::mutex mutex_;
  Stage::KnownAttributes known_attributes_; // changed by the thread that leads a commit
  Directory directory_;
  RingPosition ring_;
  format::Superblock superblock_; // the current one on the device
  std::uint64_t device_block_count_ = 0;
  std::optional<std::uint64_t> third_copy_block_; // only who writes superblocks uses it
  DeferredWrites deferred_;
  std::optional<Error> poisoned_;
  std::condition_variable room_; // a checkpoint was published, or the store is poisoned
  bool sealed_ = false;          // No commit. The image says so, too, or will soon.
  bool closed_ = false;
  bool failing_in_background_ = false;
  bool moved_ = false;         // Its name does not lead to the image any more; that was said.
  bool being_created_ = false; // Superblocks stay in memory until close().
  bool has_superblock_ = true; // One is on the device: not before that.

  std::mutex checkpoint_mutex_; // one checkpoint at a time; held during its I/O
  std::condition_variable checkpoint_wake_;
  bool checkpoint_requested_ = false;
  std::uint64_t checkpoint_count_ = 0;
  bool stop_ = false;
  std::uint64_t commit_count_ = 0; // tells the checkpointer whether the store is idle
  std::jthread checkpointer_;

  Completions completions_;
  CommitQueue queue_;
  AlarmClock deferral_clock_; // The last member: its thread uses all others.
};

} // namespace vnvram
