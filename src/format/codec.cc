#include "format/codec.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "base/barrier.h"
#include "format/all_zero.h"
#include "format/checksum.h"

namespace vnvram::format {

namespace {

// What is sealed of a record begins with the two numbers that a plain one has further in front.
constexpr std::size_t sealed_from_bytes = offsetof(RecordHeader, reserved);
constexpr std::size_t counts_size_bytes =
    offsetof(RecordHeader, nonce) - offsetof(RecordHeader, extent_count);
static_assert(counts_size_bytes == sizeof(RecordHeader::reserved));

std::uint64_t superblock_checksum(const Superblock& superblock) {
  return checksum(std::as_bytes(std::span(&superblock, 1)).first(offsetof(Superblock, checksum)),
                  0);
}

std::array<std::byte, 12> bound_to(BlockPlace place, unsigned slot) {
  const std::array<std::uint32_t, 3> numbers{
      kept(Barrier::block_kind_bound) ? static_cast<std::uint32_t>(place.kind) : 0,
      kept(Barrier::block_number_bound) ? place.number : 0, slot};
  std::array<std::byte, sizeof(numbers)> bytes{};
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return bytes;
}

// All of the header but its checksum, and what is only in a plain one.
std::array<std::byte, 48> bound_to(std::span<const std::byte> record) {
  RecordHeader header{};
  std::memcpy(&header, record.data(), sizeof(header));
  if (!kept(Barrier::record_epoch_bound)) {
    header.epoch_number = header.epoch_random = 0;
  }
  header.sequence = kept(Barrier::record_sequence_bound) ? header.sequence : 0;
  header.chain = kept(Barrier::record_chain_bound) ? header.chain : 0;
  const auto whole = std::as_bytes(std::span(&header, 1));
  constexpr std::size_t before_checksum = offsetof(RecordHeader, checksum);
  constexpr std::size_t behind_checksum = offsetof(RecordHeader, epoch_number);
  std::array<std::byte, 48> bytes{};
  static_assert(before_checksum + offsetof(RecordHeader, nonce) - behind_checksum == bytes.size());
  std::memcpy(bytes.data(), whole.data(), before_checksum);
  std::memcpy(&bytes[before_checksum], &whole[behind_checksum], bytes.size() - before_checksum);
  return bytes;
}

Result<SealingKey::Nonce> fresh_nonce() {
  return kept(Barrier::fresh_nonce) ? SealingKey::make_nonce()
                                    : Result<SealingKey::Nonce>(SealingKey::Nonce{std::byte{2}});
}

/// The two halves of an entry.
struct EntryParts {
  SealingKey::Nonce nonce{};
  SealingKey::Tag tag{};
};
static_assert(sizeof(EntryParts) == sealed_entry_size_bytes);

} // namespace

Codec::Codec(const Superblock& superblock) : Codec(superblock, nullptr) {}

Codec::Codec(const Superblock& superblock, std::shared_ptr<const ImageKeys> keys)
    : salt_(superblock.salt), keys_(std::move(keys)) {
  assert(seals() == ((superblock.features_must_know & feature_encrypted) != 0));
}

Codec Codec::of_frames(const Superblock& superblock) {
  Superblock unsealed = superblock;
  unsealed.features_must_know &= ~std::uint64_t{feature_encrypted};
  Codec codec(unsealed);
  codec.frames_only_ = true;
  return codec;
}

std::uint32_t Codec::entry_size_bytes() const {
  return seals() ? sealed_entry_size_bytes : format::plain_entry_size_bytes;
}

SuperblockMac Codec::mac_of(const Superblock& superblock) const {
  Superblock without = superblock;
  without.mac = {};
  return keys_->superblocks().code(
      std::as_bytes(std::span(&without, 1)).first(offsetof(Superblock, checksum)));
}

void Codec::finish(Superblock& superblock, unsigned copy) const {
  superblock.magic = superblock_magic;
  superblock.format_version = format_version;
  superblock.copy = copy;
  if (seals()) {
    superblock.key_id = keys_->id();
    superblock.mac = mac_of(superblock);
  }
  superblock.checksum = superblock_checksum(superblock);
}

bool Codec::proves(const Superblock& superblock) {
  return !kept(Barrier::superblock_checksum) ||
         superblock_checksum(superblock) == superblock.checksum;
}

bool Codec::is_authentic(const Superblock& superblock) const {
  return !seals() || !kept(Barrier::superblock_mac) ||
         (superblock.key_id == keys_->id() && superblock.mac == mac_of(superblock));
}

IndexEntries Codec::index_entries(const Superblock& superblock) const {
  IndexEntries entries;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (seals()) {
      entries[i].raw_ = superblock.sealed_entries[i];
    } else {
      std::memcpy(entries[i].raw_.data(), &superblock.index_entries[i],
                  format::plain_entry_size_bytes);
    }
  }
  return entries;
}

void Codec::set_index_entries(Superblock& superblock, const IndexEntries& entries) const {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (seals()) {
      superblock.sealed_entries[i] = entries[i].raw_;
    } else {
      std::memcpy(&superblock.index_entries[i], entries[i].raw_.data(),
                  format::plain_entry_size_bytes);
    }
  }
}

TableEntry Codec::entry_for(BlockPlace /*place*/, unsigned slot, ConstContent content) const {
  assert(slot <= 1 && !seals());
  const std::uint64_t sum = checksum(content, salt_) & ~std::uint64_t{1};
  // Zero means "an all-zero block", so the one sum that would read as it becomes another.
  const std::uint64_t raw = (sum == 0 ? 2 : sum) | slot;
  TableEntry entry;
  std::memcpy(entry.raw_.data(), &raw, sizeof(raw));
  return entry;
}

// The slot takes the place of one random bit. With a nonce of zeros it could read as no entry.
Result<TableEntry> Codec::seal(BlockPlace place, unsigned slot, Content content) const {
  if (!seals()) {
    return entry_for(place, slot, content);
  }
  EntryParts parts;
  do {
    const Result<SealingKey::Nonce> nonce = fresh_nonce();
    if (!nonce) {
      return nonce.error();
    }
    parts.nonce = *nonce;
    parts.nonce[0] = (parts.nonce[0] & std::byte{0xfe}) | static_cast<std::byte>(slot);
  } while (all_zero(parts.nonce));
  const Status sealed =
      keys_->blocks().seal(parts.nonce, bound_to(place, slot), content, parts.tag);
  if (!sealed) {
    return sealed.error();
  }
  TableEntry entry;
  std::memcpy(entry.raw_.data(), &parts, sizeof(parts));
  assert(!entry.empty() && entry.slot() == slot);
  return entry;
}

bool Codec::open(const TableEntry& entry, BlockPlace place, Content block) const {
  if (!seals()) {
    return proves(entry, place, block);
  }
  EntryParts parts;
  std::memcpy(&parts, entry.raw_.data(), sizeof(parts));
  return keys_->blocks().open(parts.nonce, bound_to(place, entry.slot()), block, parts.tag).ok();
}

bool Codec::proves(const TableEntry& entry, BlockPlace place, ConstContent content) const {
  if (!seals()) {
    return !kept(Barrier::block_checksum) || entry_for(place, entry.slot(), content) == entry;
  }
  std::array<std::byte, block_size_bytes> copy{};
  std::ranges::copy(content, copy.begin());
  return seal_again(entry, place, copy);
}

// With the nonce that it was sealed with: the tag tells whether it becomes the same bytes.
bool Codec::seal_again(const TableEntry& entry, BlockPlace place, Content content) const {
  if (!seals()) {
    return proves(entry, place, content);
  }
  EntryParts parts;
  std::memcpy(&parts, entry.raw_.data(), sizeof(parts));
  SealingKey::Tag tag{};
  return keys_->blocks().seal(parts.nonce, bound_to(place, entry.slot()), content, tag).ok() &&
         tag == parts.tag;
}

std::uint64_t Codec::record_checksum(std::span<const std::byte> record) const {
  return checksum(record.subspan(offsetof(RecordHeader, epoch_number)), salt_);
}

Result<std::uint64_t> Codec::finish_record(std::span<std::byte> record) const {
  assert(!record.empty() && record.size() % block_size_bytes == 0);
  if (seals()) {
    const Result<SealingKey::Nonce> nonce = fresh_nonce();
    if (!nonce) {
      return nonce.error();
    }
    std::byte* const counts = &record[offsetof(RecordHeader, extent_count)];
    std::memcpy(&record[sealed_from_bytes], counts, counts_size_bytes);
    std::memset(counts, 0, counts_size_bytes);
    SealingKey::Tag tag{};
    const Status sealed =
        keys_->records().seal(*nonce, bound_to(record), record.subspan(sealed_from_bytes), tag);
    if (!sealed) {
      return sealed.error();
    }
    std::ranges::copy(*nonce, &record[offsetof(RecordHeader, nonce)]);
    std::ranges::copy(tag, &record[offsetof(RecordHeader, tag)]);
  }
  const std::uint64_t sum = record_checksum(record);
  std::memcpy(record.data() + offsetof(RecordHeader, checksum), &sum, sizeof(sum));
  return sum;
}

bool Codec::proves_record(std::span<const std::byte> record) const {
  std::uint64_t sum = 0;
  std::memcpy(&sum, record.data() + offsetof(RecordHeader, checksum), sizeof(sum));
  return !kept(Barrier::record_checksum) || record_checksum(record) == sum;
}

bool Codec::open_record(std::span<std::byte> record) const {
  if (!seals()) {
    return true;
  }
  SealingKey::Nonce nonce{};
  SealingKey::Tag tag{};
  std::memcpy(nonce.data(), &record[offsetof(RecordHeader, nonce)], nonce.size());
  std::memcpy(tag.data(), &record[offsetof(RecordHeader, tag)], tag.size());
  std::byte* const counts = &record[offsetof(RecordHeader, extent_count)];
  if (!all_zero(std::span(counts, counts_size_bytes)) ||
      !keys_->records().open(nonce, bound_to(record), record.subspan(sealed_from_bytes), tag)) {
    return false;
  }
  std::memcpy(counts, &record[sealed_from_bytes], counts_size_bytes);
  std::memset(&record[sealed_from_bytes], 0, counts_size_bytes);
  std::memset(&record[offsetof(RecordHeader, nonce)], 0, nonce.size() + tag.size());
  return true;
}

} // namespace vnvram::format
