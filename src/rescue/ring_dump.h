// The ring's records in a dump.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "format/codec.h"
#include "format/geometry.h"
#include "format/record_view.h"
#include "rescue/image_dump.h"
#include "store/ring_scanner.h"
#include "vnvram/block_device.h"

namespace vnvram {

/// Tells of each block of the ring that begins like a record, of whatever age, in a dump.
class RingDump {
public:
  RingDump(BlockDevice& device, const format::Superblock& superblock, const format::Codec& codec,
           ImageDump& dump)
      : device_(device), geometry_(format::geometry_of(superblock)), codec_(codec), dump_(dump),
        budget_(geometry_.ring_block_count()) {}

  void list();
  /// Recovery replays this one. Called behind list().
  void mark_counting(const format::RecordView& record, std::uint32_t position);

private:
  std::optional<std::vector<std::byte>> read_blocks(std::uint32_t position, std::uint32_t count,
                                                    std::string& why);
  std::uint32_t list_record(std::uint32_t position, const format::RecordHeader& header);

  BlockDevice& device_;
  const format::Geometry geometry_;
  const format::Codec codec_;
  ImageDump& dump_;
  RecordBudget budget_;
  std::map<std::uint32_t, std::size_t> by_position_; ///< Indexes of the dump's records.
};

} // namespace vnvram
