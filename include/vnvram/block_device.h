// The device contract: where an image's bytes are. Implement it to put a store on something that
// this library does not open by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "vnvram/export.h"
#include "vnvram/result.h"

namespace vnvram {

/// All I/O of the engine is whole, aligned blocks of this size.
inline constexpr std::size_t block_size_bytes = 4096;

/// What a device can and cannot do.
struct DeviceCapabilities {
  bool write = false;  ///< Opened for writing.
  bool resize = false; ///< resize() can grow it.
  bool lock = false;   ///< lock_for_writing() keeps other owners out.
  /// Owners on other hosts reach it, and no lock of theirs is seen here: a block device, an export
  /// over TCP. What they have not closed they may have open.
  bool unseen_owners = false;
  /// Someone else may change the content underneath (a drive that QEMU owns).
  bool content_may_change = false;
  /// Each call is a round trip to another process. Where such a device cannot lock, the check that
  /// the image is still ours goes out together with each commit, not before it.
  bool remote = false;
  /// write_durable_and_read() takes hardly longer than write_durable(), and an ordinary read does
  /// not: the check that the image is still ours goes out together with a commit.
  bool read_beside_write = false;
  /// check_name() can tell: to be asked now and then.
  bool named = false;
  /// Who loses the lock can write nothing any more, also of what was on its way: for an hour the
  /// storage sees to it. The check that the image is still ours comes first only after some seconds
  /// of rest.
  bool fences = false;
};

/// A linear array of bytes that can lose what was not flushed.
///
/// Threads: read, write, write_durable, write_durable_and_read and flush may be called from several
/// threads at the same time; the caller sees to it that no two overlapping writes run at once. The
/// others are called by one thread at a time, with no I/O under way, but for size_bytes() and
/// resize(), which may come beside reads and commits. Alignment: offsets and lengths are multiples
/// of block_size_bytes (a read may also end with the device). Buffers may have any alignment; those
/// aligned to block_size_bytes are faster. Errors: ErrorKind::io with the device's name, the place
/// and the cause, unless said otherwise. An access beyond the end is an error, never a short
/// transfer.
class VNVRAM_API BlockDevice {
public:
  BlockDevice() = default;
  BlockDevice(const BlockDevice&) = delete;
  BlockDevice& operator=(const BlockDevice&) = delete;
  virtual ~BlockDevice() = default;

  /// For messages: the path or URL that the user gave.
  [[nodiscard]] virtual std::string name() const = 0;
  [[nodiscard]] virtual DeviceCapabilities capabilities() const = 0;
  /// The current size. It may not be a multiple of the block size; the engine uses whole blocks.
  virtual Result<std::uint64_t> size_bytes() = 0;

  /// Fills the whole buffer. With what is really there: where a cache of this host can hide what
  /// another owner has written by another way, it is read around that cache, if that can be done.
  virtual Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) = 0;
  /// Durable only after a later flush(); until then it may be lost, reordered with other unflushed
  /// writes, or torn at any 512-byte sector.
  virtual Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) = 0;
  /// This write is durable when the call returns. It promises nothing about earlier writes.
  virtual Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) = 0;
  /// A durable write and a read of another place, under way together where the device can do that.
  /// The read may see the device as it is before or after the write, but not as it was before the
  /// call. An error says that one of them has failed, and nothing about the other.
  virtual Status write_durable_and_read(std::uint64_t write_offset_bytes,
                                        std::span<const std::byte> data,
                                        std::uint64_t read_offset_bytes,
                                        std::span<std::byte> buffer);
  /// Every write that had returned before the call is durable when it returns.
  virtual Status flush() = 0;
  /// Grows the device; the new bytes read as zero and have their space allocated.
  /// ErrorKind::unsupported if it cannot, no_space if there is none.
  virtual Status resize(std::uint64_t size_bytes) = 0;

  /// Takes the exclusive right to write, without waiting. ErrorKind::in_use if someone has it.
  /// Success without any effect on a device whose capabilities say that it cannot lock.
  /// From here on reads return what the device holds or a later flush makes durable: nothing that
  /// an earlier owner's failed flush has left in a cache.
  virtual Status lock_for_writing() = 0;
  /// For a take-over, before lock_for_writing(): the storage itself is told to do nothing more for
  /// whoever has the right to write, or could write without one. Nothing of what they have on its
  /// way lands when it returns. Success when there is nobody. Not for this device's own holder.
  /// Errors: unsupported (this storage cannot; nothing was done), io.
  virtual Status shut_out_owner();
  /// Gives the right up; harmless when it is not held. Destroying the device gives it up, too.
  virtual void unlock() = 0;

  /// Whether what was opened is what its name leads to. A durable write asks the same, and fails if
  /// it would be lost. Unlike the others, from any thread at any time. Success where nothing can be
  /// told. Errors: stale (it was removed, or something else has its name: what is written is lost);
  /// absent (it was only moved: what is written is there, and not found by the old name).
  virtual Status check_name() { return {}; }
};

} // namespace vnvram
