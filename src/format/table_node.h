// A block of the table in memory: the entries of its children, by the children's own numbers.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "format/layout.h"
#include "format/table_entry.h"

namespace vnvram::format {

/// An index block, whose children are zones, or a zone's leaf, whose children are pages. How long
/// an entry is and how many there are is known here and to Geometry, and to nobody else.
class TableNode {
public:
  /// `child` is one of this node's own: which those are, Geometry says.
  [[nodiscard]] TableEntry entry_of(std::uint32_t child) const {
    return TableEntry(entries_[child % entries_per_block]);
  }
  void set_entry_of(std::uint32_t child, const TableEntry& entry) {
    entries_[child % entries_per_block] = entry.raw_;
  }
  [[nodiscard]] std::uint32_t entries_used() const {
    return static_cast<std::uint32_t>(
        std::count_if(entries_.begin(), entries_.end(), [](auto raw) { return raw != 0; }));
  }

  /// As on the device.
  [[nodiscard]] std::span<const std::byte, block_size_bytes> bytes() const {
    return std::as_bytes(std::span(entries_));
  }
  [[nodiscard]] std::span<std::byte, block_size_bytes> bytes() {
    return std::as_writable_bytes(std::span(entries_));
  }

  bool operator==(const TableNode&) const = default;

private:
  std::array<std::uint64_t, entries_per_block> entries_{};
};
static_assert(sizeof(TableNode) == block_size_bytes);

} // namespace vnvram::format
