#include "format/codec.h"

#include <cassert>
#include <cstring>

#include "base/barrier.h"
#include "format/checksum.h"

namespace vnvram::format {

namespace {

std::uint64_t superblock_checksum(const Superblock& superblock) {
  return checksum(std::as_bytes(std::span(&superblock, 1)).first(offsetof(Superblock, checksum)),
                  0);
}

} // namespace

void Codec::finish(Superblock& superblock, unsigned copy) const {
  superblock.magic = superblock_magic;
  superblock.format_version = format_version;
  superblock.copy = copy;
  superblock.checksum = superblock_checksum(superblock);
}

bool Codec::proves(const Superblock& superblock) {
  return !kept(Barrier::superblock_checksum) ||
         superblock_checksum(superblock) == superblock.checksum;
}

IndexEntries Codec::index_entries(const Superblock& superblock) const {
  IndexEntries entries;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    entries[i] = TableEntry(superblock.index_entries[i]);
  }
  return entries;
}

void Codec::set_index_entries(Superblock& superblock, const IndexEntries& entries) const {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    superblock.index_entries[i] = entries[i].raw_;
  }
}

TableEntry Codec::entry_for(BlockPlace /*place*/, unsigned slot,
                            std::span<const std::byte> content) const {
  assert(slot <= 1 && content.size() == block_size_bytes);
  const std::uint64_t sum = checksum(content, salt_) & ~std::uint64_t{1};
  // Zero means "an all-zero block", so the one sum that would read as it becomes another.
  return TableEntry((sum == 0 ? 2 : sum) | slot);
}

bool Codec::proves(const TableEntry& entry, BlockPlace place,
                   std::span<const std::byte> content) const {
  return !kept(Barrier::block_checksum) || entry_for(place, entry.slot(), content) == entry;
}

std::uint64_t Codec::record_checksum(std::span<const std::byte> record) const {
  return checksum(record.subspan(offsetof(RecordHeader, epoch_number)), salt_);
}

std::uint64_t Codec::finish_record(std::span<std::byte> record) const {
  assert(!record.empty() && record.size() % block_size_bytes == 0);
  const std::uint64_t sum = record_checksum(record);
  std::memcpy(record.data() + offsetof(RecordHeader, checksum), &sum, sizeof(sum));
  return sum;
}

bool Codec::proves_record(std::span<const std::byte> record) const {
  std::uint64_t sum = 0;
  std::memcpy(&sum, record.data() + offsetof(RecordHeader, checksum), sizeof(sum));
  return !kept(Barrier::record_checksum) || record_checksum(record) == sum;
}

} // namespace vnvram::format
