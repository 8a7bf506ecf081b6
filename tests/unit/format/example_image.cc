#include "unit/format/example_image.h"

#include <algorithm>
#include <string_view>

#include "format/codec.h"
#include "format/record_builder.h"

namespace vnvram::format {

Superblock example_superblock() {
  Superblock superblock{};
  for (std::size_t i = 0; i < superblock.uuid.size(); ++i) {
    superblock.uuid[i] = static_cast<std::byte>(i);
  }
  superblock.uuid[6] = std::byte{0x46};
  superblock.uuid[8] = std::byte{0x88};
  superblock.salt = 0x0123456789abcdef;
  superblock.sequence = 4;
  superblock.image_block_count = 1024; // 4 MiB
  superblock.ring_start_block = ring_start_block;
  superblock.ring_block_count = 512;
  superblock.zones_start_block = ring_start_block + 512;
  superblock.entry_size_bytes = plain_entry_size_bytes;
  superblock.epoch_number = 2;
  superblock.epoch_random = 0x1122334455667788;
  superblock.generation = 1;
  superblock.chain = 0x1122334455667788;
  superblock.ring_position = 257;
  superblock.clean = 1;
  superblock.index_entries = {0xfedcba9876543210, 0};
  constexpr std::string_view creator = "vnvram 0.1.0";
  std::copy(creator.begin(), creator.end(), superblock.creator.begin());
  Codec(superblock).finish(superblock, 0);
  return superblock;
}

std::vector<std::byte> example_record() {
  const Superblock superblock = example_superblock();
  const std::array<std::uint64_t, 2> size_and_generation = {5, 2};
  constexpr std::string_view hello = "hello";
  RecordBuilder builder;
  builder.add_bytes(block_size_bytes, std::as_bytes(std::span(hello)));
  builder.add_bytes(offsetof(DirectoryPage, entries) + offsetof(DirectoryEntry, size_bytes),
                    std::as_bytes(std::span(size_and_generation)));
  std::uint64_t checksum = 0;
  const auto record = builder
                          .finish({superblock.epoch_number, superblock.epoch_random,
                                   superblock.generation + 1, superblock.chain},
                                  Codec(superblock), checksum)
                          .value();
  return {record.begin(), record.end()};
}

} // namespace vnvram::format
