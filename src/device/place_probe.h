// What a place offers an image, found out without a byte of it being written, and without its lock.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "device/byte_range.h"
#include "vnvram/open_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// Whether somebody else has the right to write there. Success: nobody, as far as this host can
/// see; it may be taken a moment later. Errors: in_use; unsupported (nothing can be told here, or
/// it cannot be locked); absent, io.
Status look_for_owner(const std::string& location, const DeviceOptions& options = {});

/// Whether this process could write there, as far as rights, the file system and the device say it:
/// nothing is opened for writing but an NBD export or an RBD image, which is what tells of one; of
/// that the lock is not taken. Errors: read_only;
/// unsupported (an export that can make nothing durable); absent, io.
Status look_for_rights(const std::string& location, const DeviceOptions& options);

/// What of these ranges of a raw file the file system has no space for, as a start would look for
/// it, and how much it has left. Nothing: that is not to be known, or not a question, of what is
/// there.
struct SpaceLook {
  std::uint64_t missing_bytes = 0;
  std::uint64_t shared_bytes = 0; ///< With a copy of the file: written anew, they need space, too.
  std::uint64_t free_bytes = 0;   ///< For this user.
  /// A start gives what is shared space of its own, and refuses if there is none. Else that is
  /// found out by the writes.
  bool unshares = false;
};
std::optional<SpaceLook> look_for_space(const std::string& location,
                                        std::span<const ByteRange> ranges);

/// How long it takes until something is durable.
struct MeasuredDurability {
  const char* what = ""; ///< Was measured: one of these below.
  unsigned count = 0;    ///< How often.
  std::chrono::nanoseconds median{};
  std::chrono::nanoseconds longest{};
  bool volatile_place = false; ///< It is in memory: nothing of it outlives the host's run.

  /// Of a file or VM image: durable writes of one block, as commits do them, to a file without a
  /// name in the same folder, which is gone with its descriptor.
  static constexpr const char* beside = "durable writes of 4 KiB to a nameless file beside it";
  /// Of a block device or an export, of which every byte is somebody's: flushes, and no write.
  static constexpr const char* flush = "flushes of it; nothing was written";
};
/// Errors: unsupported (it cannot be measured without a write to what is there, or its lock, or not
/// with a file beside it, which says nothing of the image's own blocks), and those of a flush that
/// failed.
Result<MeasuredDurability> measure_durability(const std::string& location,
                                              const DeviceOptions& options);

} // namespace vnvram
