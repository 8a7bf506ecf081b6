#include "support/image_editor.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "format/checksum.h"
#include "format/superblock.h"

namespace vnvram {

using format::entries_per_block;
using format::Superblock;
using format::TableBlock;
using format::TableEntry;

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

TableBlock ImageEditor::table_block(std::uint64_t number, TableEntry entry) {
  TableBlock content{};
  if (entry != 0) {
    std::memcpy(content.data(), block(number).data(), sizeof(content));
  }
  return content;
}

void ImageEditor::edit_leaf(std::uint32_t zone, const std::function<void(TableBlock&)>& edit) {
  const std::uint32_t index = zone / entries_per_block;
  TableEntry& index_entry = superblock_.index_entries[index];
  const std::uint64_t index_block =
      format::Geometry::index_block(index, format::entry_slot(index_entry));
  TableBlock index_content = table_block(index_block, index_entry);
  TableEntry& leaf_entry = index_content[zone % entries_per_block];
  const std::uint64_t leaf_block = geometry().leaf_block(zone, format::entry_slot(leaf_entry));
  TableBlock leaf = table_block(leaf_block, leaf_entry);
  edit(leaf);
  const std::uint64_t salt = superblock_.salt;
  std::memcpy(block(leaf_block).data(), leaf.data(), sizeof(leaf));
  leaf_entry = format::make_entry(block(leaf_block), salt, format::entry_slot(leaf_entry));
  std::memcpy(block(index_block).data(), index_content.data(), sizeof(index_content));
  index_entry = format::make_entry(block(index_block), salt, format::entry_slot(index_entry));
  seal();
}

void ImageEditor::edit_page(std::uint32_t page, const Edit& edit) {
  edit_leaf(page / entries_per_block, [&](TableBlock& leaf) {
    TableEntry& entry = leaf[page % entries_per_block];
    const auto content = block(geometry().page_block(page, format::entry_slot(entry)));
    if (entry == 0) {
      std::fill(content.begin(), content.end(), std::byte{0});
    }
    edit(content);
    entry = format::make_entry(content, superblock_.salt, format::entry_slot(entry));
  });
}

void ImageEditor::append_record(format::RecordBuilder& builder, const Edit& edit) {
  std::uint64_t checksum = 0;
  ++generation_;
  const auto record =
      builder.finish({superblock_.epoch_number, superblock_.epoch_random, generation_, chain_},
                     superblock_.salt, checksum);
  const auto block_count = static_cast<std::uint32_t>(record.size() / block_size_bytes);
  assert(block_count <= ring_blocks_left());
  const std::uint64_t begin = format::Geometry::ring_block(ring_position_) * block_size_bytes;
  const auto there = std::span(image_).subspan(begin, record.size());
  std::copy(record.begin(), record.end(), there.begin());
  if (edit) {
    edit(there);
    checksum = format::checksum(there.subspan(offsetof(format::RecordHeader, epoch_number)),
                                superblock_.salt);
    std::memcpy(there.data() + offsetof(format::RecordHeader, checksum), &checksum,
                sizeof(checksum));
  }
  ring_position_ += block_count;
  chain_ = checksum;
}

void ImageEditor::seal() {
  for (unsigned copy = 0; copy < format::superblock_count; ++copy) {
    Superblock sealed = superblock_;
    sealed.sequence -= copy;
    format::seal_superblock(sealed, copy);
    std::memcpy(block(copy).data(), &sealed, sizeof(sealed));
  }
}

} // namespace vnvram
