// Assembles one record in a buffer that is ready for one aligned write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "format/codec.h"
#include "format/layout.h"

namespace vnvram::format {

class RecordBuilder {
public:
  RecordBuilder() = default;

  void clear();
  [[nodiscard]] bool empty() const { return extents_.empty(); }

  /// The page space's bytes from offset_bytes on become these. Joined to the extent before if it
  /// goes on where that one ended.
  void add_bytes(std::uint64_t offset_bytes, std::span<const std::byte> bytes);
  void add_zeros(std::uint64_t offset_bytes, std::uint32_t length_bytes);

  /// A point to come back to when what was added since must not be in the record.
  struct Mark {
    std::size_t extent_count = 0;
    std::size_t payload_size_bytes = 0;
    std::uint32_t last_length_bytes = 0;
    bool operator==(const Mark&) const = default;
  };
  [[nodiscard]] Mark mark() const;
  void rollback(const Mark& mark);

  [[nodiscard]] std::uint32_t block_count() const;

  struct Position {
    std::uint64_t epoch_number = 0;
    std::uint64_t epoch_random = 0;
    std::uint64_t sequence = 0;
    std::uint64_t chain = 0;
  };
  /// Whole blocks, valid until the next call. The record's checksum goes to `checksum`. Errors:
  /// those of Codec::finish_record().
  [[nodiscard]] Result<std::span<const std::byte>>
  finish(const Position& position, const Codec& codec, std::uint64_t& checksum);

private:
  std::vector<RecordExtent> extents_;
  std::vector<std::byte> payload_;
  std::optional<AlignedBuffer> buffer_;
};

} // namespace vnvram::format
