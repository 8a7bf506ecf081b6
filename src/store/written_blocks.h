// Which blocks of a device were written, for who keeps a mirror of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "device/byte_range.h"

namespace vnvram {

/// A block is noted behind its write, whether that has failed or not: who reads it after it was
/// taken from here either sees what was written, or is told of it once more.
///
/// Threads: any.
class WrittenBlocks {
public:
  void note(std::uint64_t offset_bytes, std::uint64_t size_bytes) {
    if (notes_.load(std::memory_order_relaxed) && size_bytes > 0) {
      note_blocks(offset_bytes, size_bytes);
    }
  }
  /// From now on, for somebody else than until now: what was noted before is forgotten. Returns a
  /// number for take(), which nobody has had before, also of another store: who began with one that
  /// was closed meanwhile does not take what the next one notes. 0: no random numbers, and nothing
  /// is noted.
  std::uint64_t begin();
  /// What was noted since it was last taken, in whole blocks and in order; blocks that lie close to
  /// each other come as one range, with what is between them. False: it is noted for somebody else
  /// by now.
  bool take(std::uint64_t number, std::vector<ByteRange>& ranges);

private:
  void note_blocks(std::uint64_t offset_bytes, std::uint64_t size_bytes);

  std::atomic<bool> notes_ = false;
  std::mutex mutex_; ///< Of all that follows.
  std::uint64_t number_ = 0;
  std::vector<bool> written_; ///< By block, as far as something was written.
};

} // namespace vnvram
