// A copy of an image that is kept like it until it takes its place.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "backup/block_copy.h"
#include "backup/move_source.h"
#include "backup/paced_device.h"
#include "base/aligned_buffer.h"
#include "format/superblock.h"
#include "vnvram/block_device.h"

namespace vnvram {

/// Makes it on a device that is locked and may be written over: block by block while the image's
/// owner goes on, then what was written meanwhile, and so on, which gets less; the rest while
/// changes are held. There is no superblock on it before all else is durable, and the first that
/// there is says that it is sealed.
class ImageMirror {
public:
  struct Setup {
    MoveSource& source;
    HandOverNumber number; ///< That it is sealed for.
    std::function<void(const BlockCopyProgress&)> progress = {};
    /// See BlockCopySource.
    std::function<Status(std::size_t size_bytes)> before_read = {};
  };

  /// All outlive it.
  ImageMirror(const Setup& setup, BlockDevice& device)
      : setup_(setup), from_(setup.source.device(), setup.before_read), device_(device),
        piece_(piece_size_bytes) {}

  /// Once. Changes are held when it returns, whatever it returns. Errors: those of copy_blocks();
  /// sealed; stale (the image has grown meanwhile), in_use (somebody holds changes, or has begun to
  /// move the image).
  Status run();

  /// Of what was made.
  [[nodiscard]] const format::Superblock& superblock() const { return superblock_; }
  /// Of the image, for who opens the copy.
  [[nodiscard]] const std::string& location() const { return location_; }
  [[nodiscard]] unsigned rounds() const { return rounds_; }
  [[nodiscard]] std::uint64_t held_bytes() const { return held_bytes_; }

  /// Takes the superblocks away: there is no image then. Errors: io.
  static Status take_away(BlockDevice& device);

private:
  static constexpr std::size_t piece_size_bytes = std::size_t{1} << 20U;

  Status prepare();
  Status follow();
  Status finish();
  Status copy(const std::vector<ByteRange>& ranges, bool hurries);
  Status copy_range(ByteRange range, std::uint64_t all_bytes, bool hurries);
  void tell(std::uint64_t all_bytes, bool hurries) const;
  Status write_superblocks(const SealedSuperblocks& blocks);

  const Setup& setup_;
  PacedDevice from_;
  BlockDevice& device_;
  AlignedBuffer piece_;
  format::Superblock superblock_ = {};
  std::string location_;
  std::uint64_t device_block_count_ = 0;
  std::uint64_t done_bytes_ = 0;
  unsigned rounds_ = 0;
  std::uint64_t held_bytes_ = 0;
};

} // namespace vnvram
