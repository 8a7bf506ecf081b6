// Reading and writing all of a range, in as many steps as the kernel likes.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace vnvram {

/// Whether direct I/O takes a buffer that begins there.
[[nodiscard]] bool is_block_aligned(const void* address);

/// One pwritev2(2) with those flags; the count of bytes written, or -1 and errno. Never EINTR.
ssize_t write_once(int fd, std::uint64_t offset_bytes, std::span<const std::byte> data, int flags);
/// One pread(2), likewise.
ssize_t read_once(int fd, std::uint64_t offset_bytes, std::span<std::byte> buffer);

/// 0 or an errno.
int write_all(int fd, std::uint64_t offset_bytes, std::span<const std::byte> data, int flags);
/// 0 or an errno. How many bytes were read is in `done_bytes`: fewer than all of them, without an
/// error, where the file ends.
int read_all(int fd, std::uint64_t offset_bytes, std::span<std::byte> buffer,
             std::size_t& done_bytes);

} // namespace vnvram
