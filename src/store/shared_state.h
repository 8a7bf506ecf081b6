// What the parts of an open store share.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/system_clock.h"
#include "format/codec.h"
#include "format/geometry.h"
#include "format/superblock.h"
#include "store/commit_statistics.h"
#include "store/counted_device.h"
#include "store/deferred_writes.h"
#include "store/directory.h"
#include "store/page_store.h"
#include "store/ring_scanner.h"
#include "store/stage.h"
#include "vnvram/block_device.h"
#include "vnvram/store.h"

namespace vnvram {

/// What the committer installs, the checkpointer writes home and the reader shows, and whether
/// anybody may write at all.
///
/// Threads: what stands above the mutex is fixed once the store is open, or has a lock of its own.
/// What stands below it is read and changed with the mutex held, which nobody holds during I/O.
/// Who alone changes something (it is said there) may read it without. The calls take the mutex
/// themselves, but for those that say that they need it.
struct SharedState {
  SharedState(std::unique_ptr<BlockDevice> opened, const format::Superblock& found,
              format::Codec unlocked, OpenOptions wanted);

  [[nodiscard]] bool writes() const { return options.access == Access::read_write; }
  /// Why nothing may be written; why no commit may be, as a sealed image takes none. Both need the
  /// mutex.
  [[nodiscard]] std::optional<Error> reason_to_refuse() const;
  [[nodiscard]] std::optional<Error> reason_to_refuse_commit() const;
  [[nodiscard]] Status refuse_any_write() const;
  [[nodiscard]] Status refuse_commit() const;
  /// What an opening needs and what a clean end does is left over, always.
  [[nodiscard]] Status refuse_worn_counters() const;

  /// From now on nothing is written. Returns what to answer.
  Error poison(const Error& cause, std::string_view during);
  Error poison(const std::exception& failure, std::string_view during);
  /// How something ended that no caller has asked for: a first failure is told.
  void note_background(const Status& done);
  /// Tells who wants to know of each change of the image (OpenOptions::changed). Not with the
  /// mutex.
  void tell_changed(std::uint64_t generation, bool is_sealed) const;
  /// Whoever looks at blobs and pages only does not know where they are.
  [[nodiscard]] Error of_this_image(const Error& error) const;
  /// Whoever registers an attribute knows what it means.
  void know_attributes_of(std::span<const BlobSpec> specs);

  const std::unique_ptr<CountedDevice> device;
  const OpenOptions options;
  SystemClock system_clock;
  Clock& clock;        // That one, unless the options have another.
  format::Codec codec; // Changed by KeyExchange alone, beside nothing else but info().
  /// Changed by ImageGrowth alone, with the mutex, in a commit's place.
  format::Geometry geometry;
  PageStore pages;
  std::uint64_t epoch_number; // Both changed by an opening alone.
  std::uint64_t epoch_random;
  CommitStatistics statistics;
  bool has_superblock = true; // One is on the device: not before that, in an image's making.

  mutable std::mutex mutex;
  Stage::KnownAttributes known_attributes; // Changed by who leads a commit, as are the next two.
  Directory directory;
  RingPosition ring;             // A checkpoint takes from its used blocks.
  format::Superblock superblock; // The current one on the device. Changed by who writes it.
  std::uint64_t device_block_count = 0;
  DeferredWrites deferred;
  std::optional<Error> poisoned;
  std::condition_variable room; // A checkpoint was published, or the store is poisoned.
  bool sealed = false;          // No commit. The image says so, too, or will soon.
  bool failing_in_background = false;
};

} // namespace vnvram
