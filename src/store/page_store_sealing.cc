// Of PageStore what seals: the top of the table, and what another data key needs.
#include "base/aligned_buffer.h"
#include "base/random_bytes.h"
#include "store/page_store.h"

namespace vnvram {

using format::TableEntry;
using format::TableNode;

Status PageStore::write_index(std::uint32_t index) {
  const TableNode& node = write_back_.index[index];
  if (node == index_[index]) {
    return {};
  }
  TableEntry& entry = write_back_.index_entries[index];
  const Result<TableEntry> next =
      next_blocks_->write_next(format::index_place(index), entry, node.bytes());
  if (!next) {
    return next.error();
  }
  entry = *next;
  return {};
}

void PageStore::seal_with(const format::Codec& codec) {
  next_blocks_ = std::make_shared<VouchedBlocks>(device_, geometry_, codec);
}

Status PageStore::overwrite(format::BlockPlace place, const TableEntry& entry) {
  AlignedBuffer noise(2 * block_size_bytes);
  Status done = random_bytes(noise.span());
  for (const unsigned slot : {0U, 1U}) {
    if (done && (entry.empty() || slot != entry.slot())) {
      done = device_.write(geometry_.block_of(place, slot) * block_size_bytes,
                           noise.span().subspan(slot * block_size_bytes, block_size_bytes));
    }
  }
  return done;
}

Status
PageStore::overwrite_other_slots(const std::function<Status(std::uint64_t done_bytes)>& zone_done) {
  Status done;
  for (std::uint32_t i = 0; done && i < format::index_block_count; ++i) {
    done = overwrite(format::index_place(i), index_entries_[i]);
  }
  for (std::uint32_t zone = 0; done && zone < geometry_.zone_count(); ++zone) {
    const Result<LeafRef> leaf = load_leaf(zone);
    if (!leaf) {
      return leaf.error();
    }
    done = overwrite(format::leaf_place(zone), leaf_entry(zone));
    const format::NumberRange pages = geometry_.pages_of(zone);
    for (std::uint32_t page = pages.first; done && page < pages.end; ++page) {
      done = overwrite(format::page_place(page), (*leaf)->entry_of(page));
    }
    if (done) {
      done = zone_done(std::uint64_t{pages.end} * block_size_bytes);
    }
  }
  return done;
}

} // namespace vnvram
