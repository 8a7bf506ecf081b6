// A page of the page space, in memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "vnvram/block_device.h"

namespace vnvram {

struct Page {
  std::array<std::byte, block_size_bytes> bytes;
};

/// Pages are never changed once others can see them: a change makes a new one. So whoever holds a
/// reference (a reader, a checkpoint) holds the state of one generation, without any lock.
using PageRef = std::shared_ptr<const Page>;

struct PageUpdate {
  std::uint32_t page = 0;
  PageRef content;
};

} // namespace vnvram
