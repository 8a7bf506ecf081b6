// The way to a file or block device that goes around the page cache.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/unique_fd.h"
#include "device/async_io.h"
#include "vnvram/open_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// A second descriptor, with O_DIRECT, of what another one is open on. A file system may refuse
/// it, at the opening or at the first write: whoever uses it goes the other way then.
///
/// Threads: the opening comes first; the other calls may come from any.
class DirectFile {
public:
  /// `buffered`: the descriptor that it stands beside.
  void open(int buffered, Access access);
  [[nodiscard]] bool works() const { return works_.load(); }
  /// See lock_writer(); success if it does not work.
  Status lock(const std::string& name);
  void unlock();

  // Offsets and lengths are aligned to blocks.

  /// False without an `error` (an errno): it is to be read in the other way. Any buffer.
  bool read(std::uint64_t offset_bytes, std::span<std::byte> buffer, int& error);
  /// How many bytes are written, durably. Fewer than all without an `error`: the rest is to be
  /// written in the other way. Any buffer.
  std::size_t write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data,
                            int& error);
  /// Both at once on a block device; see AsyncIo. Aligned buffers.
  AsyncIo::Ends write_durable_and_read(std::uint64_t write_offset_bytes,
                                       std::span<const std::byte> data,
                                       std::uint64_t read_offset_bytes,
                                       std::span<std::byte> buffer);
  /// A read while `meanwhile` runs; see AsyncIo. An aligned buffer.
  std::int64_t read_while(std::uint64_t offset_bytes, std::span<std::byte> buffer,
                          const std::function<void()>& meanwhile);

private:
  std::size_t write_aligned(std::uint64_t offset_bytes, std::span<const std::byte> data,
                            int& error);

  UniqueFd fd_;
  AsyncIo async_io_;
  std::atomic<bool> works_{false};
};

} // namespace vnvram
