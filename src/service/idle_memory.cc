#include "service/idle_memory.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace vnvram {
namespace {

constexpr int large_piece_bytes = 128 << 10;

// Of a thread's own, not of the process's first one: that one's grows by itself.
void give_back_stack() {
  pthread_attr_t attributes{};
  void* lowest = nullptr;
  std::size_t size_bytes = 0;
  if (::gettid() == ::getpid() || ::pthread_getattr_np(::pthread_self(), &attributes) != 0) {
    return;
  }
  const int known = ::pthread_attr_getstack(&attributes, &lowest, &size_bytes);
  ::pthread_attr_destroy(&attributes);
  const auto page_bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(lowest);
  // Behind the page below this frame is what the next call is going to use first.
  const std::uintptr_t end =
      reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) / page_bytes * page_bytes -
      page_bytes;
  if (known == 0 && begin < end) {
    (void)::madvise(lowest, end - begin, MADV_DONTNEED);
  }
}

} // namespace

void keep_memory_small() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): there are no threads yet.
  ::mallopt(M_ARENA_MAX, 1);
  // Left alone it grows with the first large piece that is freed, and what was large once stays.
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  ::mallopt(M_MMAP_THRESHOLD, large_piece_bytes);
}

void give_back_memory() {
  ::malloc_trim(0);
  give_back_stack();
}

} // namespace vnvram
