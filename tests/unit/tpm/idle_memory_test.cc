// What a burst took of memory goes back.
#include "service/idle_memory.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <span>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <link.h>
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

/// Of the text of the program, of its libraries and of nothing else; {mapped, resident}.
std::pair<std::size_t, std::size_t> text_bytes() {
  std::ifstream maps("/proc/self/smaps");
  std::pair<std::size_t, std::size_t> found{};
  bool is_text = false;
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    std::string word;
    std::size_t kib = 0;
    words >> word;
    if (word.back() != ':') {
      is_text = line.find(" r-xp ") != std::string::npos && line.find('/') != std::string::npos;
    } else if (is_text && (word == "Size:" || word == "Rss:") && words >> kib) {
      (word == "Size:" ? found.first : found.second) += kib << 10U;
    }
  }
  return found;
}

int read_text(dl_phdr_info* object, std::size_t /*size_bytes*/, void* /*nothing*/) {
  for (const ElfW(Phdr) & part : std::span(object->dlpi_phdr, object->dlpi_phnum)) {
    const auto* const begin =
        reinterpret_cast<const volatile char*>(object->dlpi_addr + part.p_vaddr);
    const bool is_text = part.p_type == PT_LOAD && (part.p_flags & PF_X) != 0;
    for (std::size_t at = 0; is_text && at < part.p_filesz; at += 4096) {
      (void)begin[at];
    }
  }
  return 0;
}

TEST(IdleMemory, TextThatNothingRunsIsNotMapped) {
  ::dl_iterate_phdr(read_text, nullptr);
  const auto before = text_bytes();
  EXPECT_GT(before.second, before.first / 2); // Or it could not go away.
  give_back_all_memory();
  EXPECT_LT(text_bytes().second, before.second / 2);
  ::dl_iterate_phdr(read_text, nullptr); // It is all still there.
}

} // namespace
} // namespace vnvram::test
