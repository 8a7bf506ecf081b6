// The space of a file: what a copy has left out is allocated again.
#pragma once

#include <cstdint>
#include <string>

#include "device/byte_range.h"
#include "vnvram/result.h"

namespace vnvram {

/// Whether what is missing may also be written: zeros over holes, and shared extents as they are.
/// Only while nobody else writes to the file.
enum class MissingSpace { allocated, written };

/// Allocates what a part of a regular file has no space of its own for: holes, and extents that it
/// shares with a copy (reflink). What is read does not change, nor the file's size. Durable on
/// return. Where nothing is missing it costs two questions to the file system.
///
/// `written` is the better of the two: the space is used for good, and the next opening finds
/// nothing. It does without fallocate, too. A file system that writes every block to a new place
/// (btrfs, ZFS) can reserve nothing for that; one that does not tell of holes is taken to have
/// none. Errors: no_space; unsupported (`allocated`, on a file system that cannot); io.
Status reserve_file_space(int fd, const std::string& path, const ByteRange& range,
                          MissingSpace missing);

/// What reserve_file_space() would find missing.
struct MissingBytes {
  std::uint64_t holes = 0;
  std::uint64_t shared = 0; ///< Which only some file systems can reserve space for.
};
MissingBytes missing_file_space(int fd, const ByteRange& range);

} // namespace vnvram
