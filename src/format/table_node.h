// A block of the table in memory: the entries of its children, by the children's own numbers.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "format/all_zero.h"
#include "format/layout.h"
#include "format/table_entry.h"

namespace vnvram::format {

/// An index block, whose children are zones, or a zone's leaf, whose children are pages. How long
/// an entry is and how many there are is known here and to Geometry, and to nobody else.
class TableNode {
public:
  using Bytes = std::array<std::byte, block_size_bytes>;

  /// Without a child. The size of an entry is the superblock's.
  explicit TableNode(std::uint32_t entry_size_bytes) : entry_size_bytes_(entry_size_bytes) {
    assert(entry_size_bytes > 0 && entry_size_bytes <= sealed_entry_size_bytes);
  }
  TableNode(std::uint32_t entry_size_bytes, const Bytes& bytes) : TableNode(entry_size_bytes) {
    bytes_ = bytes;
  }

  /// `child` is one of this node's own: which those are, Geometry says.
  [[nodiscard]] TableEntry entry_of(std::uint32_t child) const {
    TableEntry entry;
    std::memcpy(entry.raw_.data(), &bytes_[place_of(child)], entry_size_bytes_);
    return entry;
  }
  void set_entry_of(std::uint32_t child, const TableEntry& entry) {
    assert(all_zero(std::span(entry.raw_).subspan(entry_size_bytes_)));
    std::memcpy(&bytes_[place_of(child)], entry.raw_.data(), entry_size_bytes_);
  }
  [[nodiscard]] std::uint32_t entries_used() const {
    std::uint32_t used = 0;
    for (std::uint32_t child = 0; child < entry_count(); ++child) {
      used += entry_of(child).empty() ? 0U : 1U;
    }
    return used;
  }

  /// As on the device, but for what seals it.
  [[nodiscard]] std::span<const std::byte, block_size_bytes> bytes() const { return bytes_; }
  [[nodiscard]] std::span<std::byte, block_size_bytes> bytes() { return bytes_; }

  bool operator==(const TableNode&) const = default;

private:
  [[nodiscard]] std::uint32_t entry_count() const {
    return static_cast<std::uint32_t>(block_size_bytes) / entry_size_bytes_;
  }
  [[nodiscard]] std::size_t place_of(std::uint32_t child) const {
    return std::size_t{child % entry_count()} * entry_size_bytes_;
  }

  std::uint32_t entry_size_bytes_;
  alignas(8) Bytes bytes_{};
};

} // namespace vnvram::format
