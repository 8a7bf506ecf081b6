// Everything that an image's own structures say, for people who look into one; also a damaged one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "format/directory_entry.h"
#include "format/layout.h"
#include "vnvram/block_device.h"
#include "vnvram/key_ring.h"
#include "vnvram/result.h"

namespace vnvram {

/// Nothing in here is vouched for unless its `valid` says so; `why` tells what is wrong otherwise.
struct ImageDump {
  struct Finding {
    bool valid = false;
    std::string why; ///< Empty when valid.
  };

  struct Superblock : Finding {
    unsigned copy = 0;
    bool current = false; ///< What the rest of the dump was read by.
    format::Superblock fields{};
  };

  struct Extent {
    std::uint64_t offset_bytes = 0; ///< In the page space.
    std::uint32_t length_bytes = 0;
    bool zeros = false;
  };

  /// A block of the ring that begins like a record, of whatever age.
  struct Record : Finding {
    std::uint32_t position = 0; ///< In blocks from the ring's start.
    bool counts = false;        ///< Recovery replays it.
    format::RecordHeader header{};
    std::vector<Extent> extents; ///< Only if valid.
  };

  /// A block of the table, in the slot that its parent points to.
  struct TableBlock : Finding {
    bool leaf = false;        ///< Else one of the index.
    std::uint32_t number = 0; ///< Of the index block, or of the zone.
    std::uint64_t block = 0;
    std::uint32_t entries_used = 0; ///< Only if valid.
  };

  /// A page that is not all zero, in its current slot.
  struct Page : Finding {
    std::uint32_t number = 0;
    unsigned slot = 0;
    std::uint64_t block = 0;
  };

  /// A used entry of the directory, with the records that count applied.
  struct Entry : Finding {
    std::uint32_t page = 0;
    std::size_t index = 0;
    format::DecodedEntry decoded; ///< Only if valid.
  };

  std::uint64_t device_size_bytes = 0;
  std::vector<Superblock> superblocks; ///< Both, and the third copy if there is one.
  std::vector<Record> records;
  std::vector<TableBlock> table;
  std::vector<Page> pages;
  std::vector<Entry> directory;
  std::vector<std::string> remarks; ///< What could not be followed, and why.
};

/// Reads it all, and writes nothing. Errors: absent, blank, foreign, too_new, key_needed; io if not
/// even the superblocks can be read; stale if an owner changed the image meanwhile (try again).
Result<ImageDump> dump_image(BlockDevice& device, const KeyRing& keys = {});

} // namespace vnvram
