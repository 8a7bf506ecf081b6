// What was in memory when it was given back. Only for programs that link watched_memory.cc.
#pragma once

#include <cstddef>
#include <span>

namespace vnvram {

/// While it lives, it looks at this memory directly before this thread frees it.
class WatchedMemory {
public:
  explicit WatchedMemory(std::span<const std::byte> memory);
  WatchedMemory(const WatchedMemory&) = delete;
  WatchedMemory& operator=(const WatchedMemory&) = delete;
  ~WatchedMemory();

  [[nodiscard]] bool was_freed() const;
  /// All of it, when it was freed.
  [[nodiscard]] bool was_zero() const;
};

} // namespace vnvram
