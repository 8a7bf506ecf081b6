// What a burst took of memory goes back.
#include "service/idle_memory.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace vnvram::test {
namespace {

constexpr std::size_t deep_bytes = std::size_t{256} << 10U;

// Behind the caller's frame, and gone with the return.
[[gnu::noinline]] const volatile std::byte* use_stack() {
  std::array<volatile std::byte, deep_bytes> deep;
  for (volatile std::byte& each : deep) {
    each = std::byte{1};
  }
  const volatile std::byte* volatile end = deep.data();
  return end;
}

/// Of these bytes that end at an address: how many are in memory.
std::size_t resident_bytes(std::uintptr_t end, std::size_t length_bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::uintptr_t begin = (end - length_bytes) / page * page;
  std::vector<unsigned char> pages(length_bytes / page);
  EXPECT_EQ(::mincore(reinterpret_cast<void*>(begin), pages.size() * page, pages.data()), 0);
  return page *
         static_cast<std::size_t>(std::count_if(
             pages.begin(), pages.end(), [](unsigned char each) { return (each & 1U) != 0; }));
}

TEST(IdleMemory, AThreadsStackIsAsDeepAsItsFrames) {
  std::thread thread([] {
    int here = 0;
    const auto frame = reinterpret_cast<std::uintptr_t>(&here);
    use_stack();
    EXPECT_GT(resident_bytes(frame, deep_bytes), deep_bytes / 2);
    give_back_memory();
    EXPECT_LT(resident_bytes(frame, deep_bytes), deep_bytes / 4);
    use_stack(); // It is still a stack.
  });
  thread.join();
  use_stack();
  give_back_memory(); // And here nothing is lost.
}

} // namespace
} // namespace vnvram::test
