// A durable write and a read of the same file, both under way at once.
#pragma once

#include <linux/aio_abi.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>

namespace vnvram {

/// Linux's own asynchronous I/O, for descriptors with O_DIRECT. Its queue belongs to a process: one
/// that has forked since gets a new one by itself.
///
/// Threads: calls may come from any; one pair is under way at a time.
class AsyncIo {
public:
  AsyncIo() = default;
  AsyncIo(const AsyncIo&) = delete;
  AsyncIo& operator=(const AsyncIo&) = delete;
  ~AsyncIo();

  /// How each of the two has ended: the count of bytes, or a negative errno. -EAGAIN: it was not
  /// begun, and can be done in another way.
  struct Ends {
    std::int64_t written = 0;
    std::int64_t read = 0;
  };
  // Buffers, lengths and offsets are aligned to blocks.

  /// For block devices: the write is one with FUA, which an ordinary durable one adds a flush to.
  Ends write_durable_and_read(int fd, std::uint64_t write_offset_bytes,
                              std::span<const std::byte> data, std::uint64_t read_offset_bytes,
                              std::span<std::byte> buffer);
  /// For file systems, which see to durability in ways of their own: `meanwhile` runs, whatever
  /// becomes of the read. How that has ended: as above.
  std::int64_t read_while(int fd, std::uint64_t offset_bytes, std::span<std::byte> buffer,
                          const std::function<void()>& meanwhile);

private:
  bool set_up();
  void run(std::span<iocb> requests, std::span<std::int64_t> ends,
           const std::function<void()>& meanwhile);

  std::mutex mutex_;
  aio_context_t queue_ = 0;
  pid_t pid_ = 0; ///< Of the process that the queue belongs to.
};

} // namespace vnvram
