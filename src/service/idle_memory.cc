#include "service/idle_memory.h"

#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace vnvram {
namespace {

constexpr int large_piece_bytes = 128 << 10;

std::uintptr_t page_begin(std::uintptr_t address) {
  const auto page_bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  return address / page_bytes * page_bytes;
}

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
  const auto begin = reinterpret_cast<std::uintptr_t>(lowest);
  // Behind the page below this frame is what the next call is going to use first.
  const std::uintptr_t end =
      page_begin(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0))) -
      static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  if (known == 0 && begin < end) {
    (void)::madvise(lowest, end - begin, MADV_DONTNEED);
  }
}

// Only whole pages, and only of what is never written: that is in the file as it is in memory.
void give_back_unwritten(const dl_phdr_info& object) {
  for (const ElfW(Phdr) & part : std::span(object.dlpi_phdr, object.dlpi_phnum)) {
    const std::uintptr_t begin = page_begin(object.dlpi_addr + part.p_vaddr);
    const std::uintptr_t end = page_begin(object.dlpi_addr + part.p_vaddr + part.p_filesz);
    if (part.p_type == PT_LOAD && (part.p_flags & PF_W) == 0 && begin < end) {
      // NOLINTNEXTLINE(performance-no-int-to-ptr): it is said in numbers where an object is.
      (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    }
  }
}

void give_back_text() {
  ::dl_iterate_phdr(
      [](dl_phdr_info* object, std::size_t /*size_bytes*/, void* /*nothing*/) {
        give_back_unwritten(*object);
        return 0;
      },
      nullptr);
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

void give_back_all_memory() {
  give_back_memory();
  give_back_text();
}

} // namespace vnvram
