#include "unit/base/watched_memory.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {

struct Watched {
  std::span<const std::byte> memory;
  bool freed = false;
  bool zero = false;
};

thread_local Watched watched; // NOLINT: operator delete has no other place for it

void look_at(const void* memory) {
  if (memory == nullptr || memory != watched.memory.data()) {
    return;
  }
  watched.freed = true;
  watched.zero =
      std::ranges::all_of(watched.memory, [](std::byte byte) { return byte == std::byte{0}; });
  watched.memory = {};
}

} // namespace

// GCC takes the inlined halves of a pair for a mismatch.
// NOLINTBEGIN(cppcoreguidelines-owning-memory,cppcoreguidelines-no-malloc): memory comes from here
[[gnu::noinline]] void* operator new(std::size_t size) {
  void* const memory = std::malloc(std::max<std::size_t>(size, 1));
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return memory;
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  return std::malloc(std::max<std::size_t>(size, 1));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  look_at(memory);
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*size*/) noexcept {
  look_at(memory);
  std::free(memory);
}
// NOLINTEND(cppcoreguidelines-owning-memory,cppcoreguidelines-no-malloc)

namespace vnvram {

WatchedMemory::WatchedMemory(std::span<const std::byte> memory) {
  watched = {.memory = memory};
}

WatchedMemory::~WatchedMemory() {
  watched = {};
}

bool WatchedMemory::was_freed() const {
  return watched.freed;
}

bool WatchedMemory::was_zero() const {
  return watched.zero;
}

} // namespace vnvram
