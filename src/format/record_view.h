// Reads a record from bytes that are trusted for nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "format/codec.h"
#include "format/layout.h"

namespace vnvram::format {

/// The header at the beginning of a block, if it could be one: right magic, a plausible length.
/// It says nothing about the checksum.
[[nodiscard]] std::optional<RecordHeader> peek_record(std::span<const std::byte> block,
                                                      std::uint32_t block_count_max);

/// A record that the codec proves and whose extents lie inside the page space.
class RecordView {
public:
  /// `blocks` are exactly the header's block_count blocks; they must outlive the view. nullopt and
  /// a reason if the record is not whole, or not of who has the key. An encrypted one is opened in
  /// memory of the view's own; by a codec of frames it is not, and has no extents.
  static std::optional<RecordView> check(std::span<const std::byte> blocks, const Codec& codec,
                                         std::uint64_t space_size_bytes, const char*& reason);

  /// Of what check() has said: the record is whole, and is not of who has the key. No cut leaves
  /// that.
  [[nodiscard]] static bool is_forgery(const char* reason);

  /// As it is in a plain record.
  [[nodiscard]] const RecordHeader& header() const { return header_; }

  struct Extent {
    std::uint64_t offset_bytes;
    std::uint32_t length_bytes;
    ExtentKind kind;
    std::span<const std::byte> bytes; ///< Empty for zeros.
  };
  [[nodiscard]] const std::vector<Extent>& extents() const { return extents_; }

private:
  RecordHeader header_{};
  std::vector<std::byte> opened_; // Of an encrypted record. The extents' bytes are in it.
  std::vector<Extent> extents_;
};

} // namespace vnvram::format
