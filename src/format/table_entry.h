// What a parent says of a child in the table: in which slot it is, and what proves its content.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "format/layout.h"

namespace vnvram::format {

/// A value. Only the codec makes one that says something, and knows what is in it.
class TableEntry {
public:
  TableEntry() = default;

  /// The child is all zero, and in no slot.
  [[nodiscard]] bool empty() const { return raw_ == SealedEntry{}; }
  [[nodiscard]] unsigned slot() const { return std::to_integer<unsigned>(raw_[0]) & 1U; }
  /// The slot that nothing current depends on.
  [[nodiscard]] unsigned other_slot() const;

  bool operator==(const TableEntry&) const = default;
  bool operator<(const TableEntry& other) const { return raw_ < other.raw_; } // for sets

private:
  friend class Codec;
  friend class TableNode;

  // As it is in a table block, with zeros behind one that is shorter.
  SealedEntry raw_{};
};

/// Those of the index blocks: what a superblock says of the table.
using IndexEntries = std::array<TableEntry, index_block_count>;

} // namespace vnvram::format
