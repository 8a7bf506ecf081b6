#include "unit/store/failing_allocations.h"

#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

/// The allocation of this thread that fails, counted from 0; below: none.
thread_local long fails_at = -1; // NOLINT: operator new has no other place for it

} // namespace

// GCC takes the inlined halves of a pair for a mismatch.
// NOLINTBEGIN(cppcoreguidelines-owning-memory,cppcoreguidelines-no-malloc): memory comes from here
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto align = static_cast<std::size_t>(alignment);
  const bool fails = fails_at >= 0 && fails_at-- == 0;
  void* memory = fails ? nullptr : std::aligned_alloc(align, (size + align) / align * align);
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return memory;
}
[[gnu::noinline]] void* operator new(std::size_t size) {
  return operator new (size, std::align_val_t{alignof(std::max_align_t)});
}
// What GoogleTest on GCC 14's library calls; a sanitizer would bring its own, and no delete that
// fits.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  try {
    return operator new(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*size*/) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*size*/,
                                       std::align_val_t /*alignment*/) noexcept {
  std::free(memory);
}
// NOLINTEND(cppcoreguidelines-owning-memory,cppcoreguidelines-no-malloc)

namespace vnvram {

FailingAllocation::FailingAllocation(long number) {
  fails_at = number;
}

FailingAllocation::~FailingAllocation() {
  fails_at = -1;
}

bool FailingAllocation::has_failed() const {
  return fails_at < 0;
}

} // namespace vnvram
