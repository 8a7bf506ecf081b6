// Makes and proves the checks of an image: of its superblocks, of the blocks of table and homes,
// and of its records. Of an encrypted image it also seals and opens them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "format/block_place.h"
#include "format/image_keys.h"
#include "format/layout.h"
#include "format/table_entry.h"
#include "vnvram/result.h"

namespace vnvram::format {

/// Plain: XXH3-64, seeded with what a guest, which controls payload bytes, does not know: so it
/// cannot forge a block that passes. Encrypted: XAES-256-GCM, and an HMAC in each superblock. Who
/// uses a codec knows nothing of seed and keys, nor what is in an entry.
///
/// Each call says which block is meant: what is proven is "this content, at this place". A plain
/// check needs no place, as entries of different places are in different parents; a seal binds it.
///
/// Threads: a value that never changes; any number of them may use one.
class Codec {
public:
  using Content = std::span<std::byte, block_size_bytes>;
  using ConstContent = std::span<const std::byte, block_size_bytes>;

  /// Of the plain store whose superblock this is.
  explicit Codec(const Superblock& superblock);
  /// Of the encrypted one; without keys, of a plain one.
  Codec(const Superblock& superblock, std::shared_ptr<const ImageKeys> keys);

  /// Of who has no key of an encrypted store: what is in the clear of its records is proven, and
  /// nothing else is to be asked.
  static Codec of_frames(const Superblock& superblock);

  /// Only of_frames(): what a record holds is not to be looked at.
  [[nodiscard]] bool proves_frames_only() const { return frames_only_; }
  /// What is written is sealed.
  [[nodiscard]] bool seals() const { return keys_ != nullptr; }
  [[nodiscard]] std::uint32_t entry_size_bytes() const;

  // Superblocks. That one is whole is proven before anything is known of the store: see
  // superblock.h. That it is of who has the key is proven here.
  /// Sets copy, magic, version, key id, mac and checksum: the superblock is ready to be written to
  /// that copy's block.
  void finish(Superblock& superblock, unsigned copy) const;
  [[nodiscard]] static bool proves(const Superblock& superblock);
  /// Who made it had the data key; true of a plain one.
  [[nodiscard]] bool is_authentic(const Superblock& superblock) const;
  [[nodiscard]] IndexEntries index_entries(const Superblock& superblock) const;
  void set_index_entries(Superblock& superblock, const IndexEntries& entries) const;

  // Blocks of the table and the homes, each of which its parent's entry vouches for.
  /// What is to be written in this slot (0 or 1) for this content takes its place. Returns the
  /// entry that vouches for it, which is never an empty one. Errors: io (no random numbers),
  /// unsupported (libcrypto has failed).
  Result<TableEntry> seal(BlockPlace place, unsigned slot, Content content) const;
  /// What was read takes the place of what it says. False: the entry does not vouch for it, and it
  /// is not to be used.
  [[nodiscard]] bool open(const TableEntry& entry, BlockPlace place, Content block) const;

  // For who mends: `content` is what a block says, not what is read of it.
  /// The entry vouches for just that content.
  [[nodiscard]] bool proves(const TableEntry& entry, BlockPlace place, ConstContent content) const;
  /// Of content that the entry vouches for: as it was written.
  [[nodiscard]] bool seal_again(const TableEntry& entry, BlockPlace place, Content content) const;
  /// Of a plain image only: the same content has the same entry, always.
  [[nodiscard]] TableEntry entry_for(BlockPlace place, unsigned slot, ConstContent content) const;

  // Records: whole blocks, as they are in the ring.
  /// Seals the record, sets its checksum, and returns it: the next record's chain. Errors as
  /// seal()'s.
  Result<std::uint64_t> finish_record(std::span<std::byte> record) const;
  [[nodiscard]] bool proves_record(std::span<const std::byte> record) const;
  /// Of one that was proven: makes it what a plain record would be. False: it is not of who has the
  /// key.
  [[nodiscard]] bool open_record(std::span<std::byte> record) const;

private:
  [[nodiscard]] std::uint64_t record_checksum(std::span<const std::byte> record) const;
  [[nodiscard]] SuperblockMac mac_of(const Superblock& superblock) const;

  std::uint64_t salt_;
  std::shared_ptr<const ImageKeys> keys_;
  bool frames_only_ = false;
};

} // namespace vnvram::format
