// What a parent says of a child in the table: in which slot it is, and what proves its content.
#pragma once

#include <array>
#include <cstdint>

#include "format/layout.h"

namespace vnvram::format {

/// A value. Only the codec makes one that says something, and knows what is in it.
class TableEntry {
public:
  TableEntry() = default;

  /// The child is all zero, and in no slot.
  [[nodiscard]] bool empty() const { return raw_ == 0; }
  [[nodiscard]] unsigned slot() const { return raw_ & 1U; }
  /// The slot that nothing current depends on.
  [[nodiscard]] unsigned other_slot() const;

  bool operator==(const TableEntry&) const = default;
  bool operator<(const TableEntry& other) const { return raw_ < other.raw_; } // for sets

private:
  friend class Codec;
  friend class TableNode;
  explicit TableEntry(std::uint64_t raw) : raw_(raw) {}

  std::uint64_t raw_ = 0; // As it is in a table block: the slot in bit 0, and the checksum's rest.
};

/// Those of the index blocks: what a superblock says of the table.
using IndexEntries = std::array<TableEntry, index_block_count>;

} // namespace vnvram::format
