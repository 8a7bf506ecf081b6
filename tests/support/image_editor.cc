#include "support/image_editor.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "format/codec.h"
#include "format/superblock.h"

namespace vnvram {

using format::Superblock;
using format::TableEntry;
using format::TableNode;

ImageEditor::ImageEditor(std::vector<std::byte>& image) : image_(image) {
  Superblock copies[2];
  std::memcpy(copies, image.data(), sizeof(copies));
  superblock_ = copies[copies[0].sequence > copies[1].sequence ? 0 : 1];
  ring_position_ = superblock_.ring_position;
  generation_ = superblock_.generation;
  chain_ = superblock_.chain;
}

format::Geometry ImageEditor::geometry() const {
  return format::geometry_of(superblock_);
}

std::span<std::byte> ImageEditor::block(std::uint64_t number) {
  return std::span(image_).subspan(number * block_size_bytes, block_size_bytes);
}

TableNode ImageEditor::node(std::uint64_t number, const TableEntry& entry) {
  TableNode content(geometry().entry_size_bytes());
  if (!entry.empty()) {
    std::ranges::copy(block(number), content.bytes().begin());
  }
  return content;
}

void ImageEditor::edit_leaf(std::uint32_t zone, const std::function<void(TableNode&)>& edit) {
  const format::Codec codec(superblock_);
  const std::uint32_t index = geometry().index_of(zone);
  format::IndexEntries index_entries = codec.index_entries(superblock_);
  const unsigned index_slot = index_entries[index].slot();
  const std::uint64_t index_block = format::Geometry::index_block(index, index_slot);
  TableNode index_node = node(index_block, index_entries[index]);
  const TableEntry leaf_entry = index_node.entry_of(zone);
  const std::uint64_t leaf_block = geometry().leaf_block(zone, leaf_entry.slot());
  TableNode leaf = node(leaf_block, leaf_entry);
  edit(leaf);
  std::ranges::copy(leaf.bytes(), block(leaf_block).begin());
  index_node.set_entry_of(
      zone, codec.entry_for(format::leaf_place(zone), leaf_entry.slot(), leaf.bytes()));
  std::ranges::copy(index_node.bytes(), block(index_block).begin());
  index_entries[index] =
      codec.entry_for(format::index_place(index), index_slot, index_node.bytes());
  codec.set_index_entries(superblock_, index_entries);
  write_superblocks();
}

void ImageEditor::edit_page(std::uint32_t page, const Edit& edit) {
  edit_leaf(geometry().zone_of(page), [&](TableNode& leaf) {
    const TableEntry entry = leaf.entry_of(page);
    const auto content = block(geometry().page_block(page, entry.slot()));
    if (entry.empty()) {
      std::fill(content.begin(), content.end(), std::byte{0});
    }
    edit(content);
    leaf.set_entry_of(page, format::Codec(superblock_)
                                .entry_for(format::page_place(page), entry.slot(),
                                           content.first<block_size_bytes>()));
  });
}

void ImageEditor::append_record(format::RecordBuilder& builder, const Edit& edit) {
  const format::Codec codec(superblock_);
  std::uint64_t checksum = 0;
  ++generation_;
  const auto record =
      builder
          .finish({superblock_.epoch_number, superblock_.epoch_random, generation_, chain_}, codec,
                  checksum)
          .value();
  const auto block_count = static_cast<std::uint32_t>(record.size() / block_size_bytes);
  assert(block_count <= ring_blocks_left());
  const std::uint64_t begin = format::Geometry::ring_block(ring_position_) * block_size_bytes;
  const auto there = std::span(image_).subspan(begin, record.size());
  std::copy(record.begin(), record.end(), there.begin());
  if (edit) {
    edit(there);
    checksum = codec.finish_record(there).value();
  }
  ring_position_ += block_count;
  chain_ = checksum;
}

void ImageEditor::write_superblocks() {
  for (unsigned copy = 0; copy < format::superblock_count; ++copy) {
    Superblock written = superblock_;
    written.sequence -= copy;
    format::Codec(written).finish(written, copy);
    std::memcpy(block(copy).data(), &written, sizeof(written));
  }
}

} // namespace vnvram
