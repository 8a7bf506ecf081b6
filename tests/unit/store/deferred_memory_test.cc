// Deferred writes that there is no memory for.
#include <cstddef>
#include <new>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "store/deferred_writes.h"
#include "unit/store/failing_allocations.h"

namespace vnvram {
namespace {

constexpr std::size_t blob_size_bytes = 40000;
constexpr std::size_t write_offset_bytes = 100;

std::vector<std::byte> content_of(const DeferredWrites& writes, std::string_view blob) {
  std::vector<std::byte> content(blob_size_bytes);
  writes.lay_over(blob, 0, content);
  return content;
}

/// How many allocations a write makes; each of them failing has changed nothing.
long count_allocations(std::string_view blob) {
  for (long allocation = 0;; ++allocation) {
    DeferredWrites writes({.record_size_bytes = std::size_t{1} << 20U, .page_count = 100});
    // Runs of a byte: the write needs room for one more, pages, and pages that are there.
    for (const std::uint64_t offset : {0U, 4U, 8U, 12U, 9000U, 30000U}) {
      writes.write("a", offset, std::vector<std::byte>(1, std::byte{1}));
    }
    const std::vector<std::byte> before = content_of(writes, blob);
    const std::uint64_t size_before = writes.size_bytes(blob, 0);
    const std::vector<std::byte> bytes(20000, std::byte{7});
    bool failed = false;
    try {
      const FailingAllocation failing(allocation);
      writes.write(blob, write_offset_bytes, bytes);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    if (!failed) {
      EXPECT_NE(content_of(writes, blob), before);
      return allocation;
    }
    EXPECT_EQ(content_of(writes, blob), before) << "allocation " << allocation;
    EXPECT_EQ(writes.size_bytes(blob, 0), size_before) << "allocation " << allocation;
    // What it counts is right as well: it goes back to nothing.
    writes.keep_only([](std::string_view) { return false; });
    EXPECT_TRUE(writes.nothing_waits());
    writes.write("a", 0, std::vector<std::byte>(1, std::byte{1}));
    EXPECT_TRUE(writes.has_room("a", 0, 99 * block_size_bytes));
    EXPECT_TRUE(writes.take().updates().size() == 1);
  }
}

TEST(DeferredMemory, AWriteThatThereIsNoMemoryForHasChangedNothing) {
  EXPECT_GT(count_allocations("a"), 3);
  EXPECT_GT(count_allocations("another blob, whose name needs memory"), 5);
}

} // namespace
} // namespace vnvram
