#include "base/secret_bytes.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

namespace vnvram {

// Not in the header: inlined into a vector's moves, GCC 12 sees an address that it takes for null.
void wipe_memory(std::span<std::byte> memory) {
  if (!memory.empty()) {
    ::explicit_bzero(memory.data(), memory.size());
  }
}

void lock_memory(std::span<const std::byte> memory) {
  if (memory.empty()) {
    return;
  }
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(memory.data()) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(memory.data()) + memory.size();
  void* const pages = reinterpret_cast<void*>(begin); // NOLINT(performance-no-int-to-ptr)
  (void)::mlock(pages, end - begin);
  (void)::madvise(pages, (end - begin + page - 1) / page * page, MADV_DONTDUMP);
}

} // namespace vnvram
