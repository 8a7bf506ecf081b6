// The one owner of the image's layout. docs/format.md is the published form of this file.
//
// Everything is little-endian, in blocks of 4 KiB; reserved bytes are zero and checked.
//
//   block 0, 1    superblock A, B
//   2 .. 17       header area (64 KiB): key slots and public metadata, see header_copy.h
//   18 .. 21      the table's index: two blocks, two slots each
//   22 ..         ring
//   then          zones: [leaf slot 0, leaf slot 1, then slot 0 and slot 1 of each of 512 pages,
//                 or of 102 of an encrypted image]
//   behind the image, 8 blocks from the device's end: the superblock's third copy
//
// The pages of all zones, in order, are the page space: the directory is in page 0 and the pages it
// links to, blobs own runs of the others. A leaf holds one entry (slot and checksum) for each page
// of its zone, the index one for each leaf, the superblock one for each index block: so whatever is
// read was vouched for by its parent, and a stale or misplaced block never passes.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "vnvram/blob.h"
#include "vnvram/block_device.h"

namespace vnvram::format {

static_assert(std::endian::native == std::endian::little,
              "fields are read in place; a big-endian port must convert them");

inline constexpr std::uint32_t format_version = 1;
inline constexpr std::array<char, 8> superblock_magic = {'v', 'N', 'V',    'R',
                                                         'A', 'M', '\x1a', '\n'};
inline constexpr std::uint32_t record_magic = 0x6352564e; // "NVRc"

// Features of which a reader must know every one. Sealed: what the image holds was handed over, so
// that no commit may follow; who does not know that must not write.
inline constexpr std::uint64_t feature_encrypted = 1;
inline constexpr std::uint64_t feature_sealed = 2;
inline constexpr std::uint64_t features_known = feature_encrypted | feature_sealed;

// No counter ever gets there: what counts up from it cannot wrap around.
inline constexpr std::uint64_t counter_max = std::uint64_t{1} << 62U;
// Whoever writes stops here: what an opening, a ring full of records and a clean end still count up
// is less than what is left then.
inline constexpr std::uint64_t counter_writable_max = counter_max - (std::uint64_t{1} << 24U);

inline constexpr std::uint32_t superblock_count = 2;
// A third copy finds the image again when both others are overwritten. It is behind the image, and
// not quite at the device's end, where second partition tables and RAID superblocks are.
inline constexpr std::uint32_t third_copy = 2;
inline constexpr std::uint64_t third_copy_blocks_from_end = 8;
inline constexpr std::uint32_t keys_start_block = 2;
inline constexpr std::uint32_t keys_block_count = 16;
inline constexpr std::uint32_t index_start_block = 18;
inline constexpr std::uint32_t index_block_count = 2;
inline constexpr std::uint32_t ring_start_block = 22;

// How long an entry of the table is, and how many there are in a block, is format/'s business:
// others ask Geometry and TableNode.
inline constexpr std::uint32_t plain_entry_size_bytes = 8;
inline constexpr std::uint32_t sealed_entry_size_bytes = 40; // of an encrypted image
inline constexpr std::uint64_t image_block_count_max = std::uint64_t{1} << 20U; // 4 GiB
// What a reader has to hold of one record, whatever a ring is said to be.
inline constexpr std::uint32_t record_block_count_max = 16384; // 64 MiB

// An entry of the table: bit 0 is the slot, the others are the upper 63 bits of the checksum of the
// block in it, or, sealed, what is random of a nonce, and a tag. Zero: the block is all zero and is
// in no slot. In memory it is a TableEntry.
using SealedEntry = std::array<std::byte, sealed_entry_size_bytes>;

// The identity of a data key, and the code that proves a superblock with it.
using KeyId = std::array<std::byte, 16>;
using SuperblockMac = std::array<std::byte, 32>;

using HandOverBytes = std::array<std::byte, 16>;

struct Superblock {
  std::array<char, 8> magic;
  std::uint32_t format_version;
  std::uint32_t copy; // 0 in block 0, 1 in block 1, 2 in the third copy
  std::uint64_t features_must_know;
  std::uint64_t features_may_ignore;
  std::array<std::byte, 16> uuid;
  std::uint64_t salt;     // seeds every checksum but the superblock's own
  std::uint64_t sequence; // the valid copy with the higher one is current

  std::uint64_t image_block_count;
  std::uint32_t ring_start_block;
  std::uint32_t ring_block_count;
  std::uint32_t zones_start_block;
  std::uint32_t entry_size_bytes;

  std::uint64_t epoch_number; // raised by each opening for writing
  std::uint64_t epoch_random;

  // The checkpoint: what the homes hold, and where the ring goes on.
  std::uint64_t generation; // of the newest record that is in the homes
  std::uint64_t chain;      // the checksum that the next record must name
  std::uint32_t ring_position;
  std::uint32_t clean; // 1: closed in good order, the ring is empty
  std::array<std::uint64_t, index_block_count> index_entries;

  std::uint32_t owner_pid; // for messages only
  std::uint32_t reserved_0;
  std::array<char, 64> owner_host;
  std::array<char, 64> creator;

  // Zero but for an encrypted image, whose index_entries are.
  std::array<SealedEntry, index_block_count> sealed_entries;
  KeyId key_id;
  SuperblockMac mac; // of all bytes but the checksum, with this field zero

  HandOverBytes hand_over;   // the number of the hand-over that it is sealed for; zero: none
  std::uint64_t owner_since; // seconds since 1970; for messages only
  std::uint64_t claim;       // random, of who is opening it after an owner that has not closed it;
                             // zero: nobody is

  std::array<std::byte, 3648> reserved;
  std::uint64_t checksum; // XXH3-64 of all bytes before it, seed 0
};
static_assert(sizeof(Superblock) == block_size_bytes);
static_assert(std::has_unique_object_representations_v<Superblock>, "no padding");
static_assert(std::is_trivially_copyable_v<Superblock>);
static_assert(offsetof(Superblock, sequence) == 56);
static_assert(offsetof(Superblock, epoch_number) == 88);
static_assert(offsetof(Superblock, index_entries) == 128);
static_assert(offsetof(Superblock, sealed_entries) == 280);
static_assert(offsetof(Superblock, key_id) == 360);
static_assert(offsetof(Superblock, mac) == 376);
static_assert(offsetof(Superblock, hand_over) == 408);
static_assert(offsetof(Superblock, owner_since) == 424);
static_assert(offsetof(Superblock, claim) == 432);
static_assert(offsetof(Superblock, checksum) == 4088);

// One commit: this header, then extent_count extents, then the extents' bytes one after the other,
// then zeros up to a whole block.
struct RecordHeader {
  std::uint32_t magic;
  std::uint32_t block_count;
  std::uint64_t checksum; // XXH3-64 of all bytes behind it, seeded with the salt
  std::uint64_t epoch_number;
  std::uint64_t epoch_random;
  std::uint64_t sequence; // the generation that this commit makes
  std::uint64_t chain;    // the previous record's checksum
  std::uint32_t extent_count;
  std::uint32_t used_bytes;        // from the header's start; zeros follow
  std::array<std::byte, 24> nonce; // zero unless encrypted, as is the tag
  std::array<std::byte, 16> tag;
  // Where an encrypted record has extent_count and used_bytes: what is sealed begins here.
  std::uint64_t reserved;
};
static_assert(sizeof(RecordHeader) == 104);
static_assert(std::has_unique_object_representations_v<RecordHeader>, "no padding");
static_assert(offsetof(RecordHeader, epoch_number) == 16);
static_assert(offsetof(RecordHeader, extent_count) == 48);
static_assert(offsetof(RecordHeader, nonce) == 56);
static_assert(offsetof(RecordHeader, tag) == 80);
static_assert(offsetof(RecordHeader, reserved) == 96);

enum class ExtentKind : std::uint32_t { bytes = 0, zeros = 1 };

// One change: length_bytes bytes of the page space from offset_bytes on.
struct RecordExtent {
  std::uint64_t offset_bytes;
  std::uint32_t length_bytes;
  ExtentKind kind;
};
static_assert(sizeof(RecordExtent) == 16);

struct PageRun {
  std::uint32_t first_page;
  std::uint32_t page_count;
};
inline constexpr std::size_t page_runs_max = 12;

struct DirectoryEntry {
  std::array<char, 64> name; // padded with zeros; all zero: the entry is free
  std::array<char, 64> type;
  std::array<char, 64> producer;
  std::uint64_t size_max_bytes;
  std::uint64_t size_bytes;
  std::uint64_t generation;
  std::uint64_t registered_generation;
  std::uint32_t page_run_count;
  std::uint32_t attributes_bytes;
  std::array<PageRun, page_runs_max> page_runs;
  // Each attribute: flags (1: a reader must know it), name length, value length (one byte each),
  // then name and value.
  std::array<std::byte, blob_attributes_max_bytes> attributes;
  std::array<std::byte, 8> reserved;
};
static_assert(sizeof(DirectoryEntry) == 512);
static_assert(std::has_unique_object_representations_v<DirectoryEntry>, "no padding");
static_assert(offsetof(DirectoryEntry, size_bytes) == 200);
static_assert(offsetof(DirectoryEntry, page_runs) == 232);

inline constexpr std::size_t directory_entries_per_page = 7;

struct DirectoryPage {
  std::uint32_t next_page; // 0: the last one (page 0 is always the first)
  std::uint32_t reserved_0;
  std::array<std::byte, 504> reserved;
  std::array<DirectoryEntry, directory_entries_per_page> entries;
};
static_assert(sizeof(DirectoryPage) == block_size_bytes);
static_assert(std::has_unique_object_representations_v<DirectoryPage>, "no padding");

} // namespace vnvram::format
