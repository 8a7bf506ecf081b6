// Changes an image behind the store's back and makes every checksum right again: what someone who
// wants to harm a reader would do.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <functional>
#include <vector>

#include "format/geometry.h"
#include "format/layout.h"
#include "format/record_builder.h"
#include "format/table_entry.h"
#include "format/table_node.h"

namespace vnvram {

/// What an entry of a plain image's table is on the device, whatever it says.
[[nodiscard]] inline format::TableEntry odd_entry(std::uint64_t number) {
  return std::bit_cast<format::TableEntry>(std::array<std::uint64_t, 5>{number});
}
[[nodiscard]] inline std::uint64_t entry_number(const format::TableEntry& entry) {
  return std::bit_cast<std::array<std::uint64_t, 5>>(entry).front();
}

/// For an image that was closed in good order.
class ImageEditor {
public:
  explicit ImageEditor(std::vector<std::byte>& image);

  [[nodiscard]] format::Superblock& superblock() { return superblock_; }
  [[nodiscard]] format::Geometry geometry() const;
  using Edit = std::function<void(std::span<std::byte>)>;
  void edit_page(std::uint32_t page, const Edit& edit);
  /// The entries of a zone's pages.
  void edit_leaf(std::uint32_t zone, const std::function<void(format::TableNode&)>& edit);
  /// Puts a record behind the newest one; `edit` may change what it says. It must fit.
  void append_record(format::RecordBuilder& builder, const Edit& edit = {});
  [[nodiscard]] std::uint32_t ring_blocks_left() const {
    return superblock_.ring_block_count - ring_position_;
  }
  /// Both superblocks as they are now, with right checksums.
  void write_superblocks();

private:
  [[nodiscard]] std::span<std::byte> block(std::uint64_t number);
  format::TableNode node(std::uint64_t number, const format::TableEntry& entry);

  std::vector<std::byte>& image_;
  format::Superblock superblock_{};
  std::uint32_t ring_position_ = 0;
  std::uint64_t generation_ = 0;
  std::uint64_t chain_ = 0;
};

} // namespace vnvram
