// Where a cache of this host can hide what someone else has written.
#pragma once

#include <cstdint>

namespace vnvram {

/// Whether another owner's writes may go past the page cache of what `fd` is open on: a block
/// device (the same bytes are behind a second loop device, a file, another host's adapter), and a
/// file that other hosts, or a server, have as well. Not a local file: everyone's writes to it, a
/// loop device's included, go by its one page cache.
[[nodiscard]] bool cache_may_hide_writes(int fd);

/// Whether owners on other hosts may have the same bytes open and have locks that are not seen
/// here: a block device, whose locks are its host's, and files of clients that may keep locks to
/// themselves.
[[nodiscard]] bool owners_may_be_unseen(int fd);

/// The same for files, by their file system's magic number (statfs(2)).
[[nodiscard]] bool has_locks_of_one_host(std::uint64_t magic);

/// Whether an open file keeps its inode number, as seen by its name. Not where it is made up by the
/// client, anew with each look.
[[nodiscard]] bool inodes_last(int fd);

/// The same as the first by a file system's magic number (statfs(2)).
[[nodiscard]] bool is_shared_file_system(std::uint64_t magic);

} // namespace vnvram
