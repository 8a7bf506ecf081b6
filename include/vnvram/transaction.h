// A transaction: updates to one or more blobs that become durable together or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vnvram/export.h"

namespace vnvram {

/// A list of updates, carried out in the order of the calls. It can be moved, not copied, and
/// touches no store until it is handed to Store::commit, which checks every update before it writes
/// anything.
///
/// Bytes given as a span are borrowed and must stay unchanged until the commit has returned or
/// called back; bytes given as a vector are taken over.
class VNVRAM_API Transaction {
public:
  Transaction() = default;
  Transaction(Transaction&&) = default;
  Transaction& operator=(Transaction&&) = default;
  Transaction(const Transaction&) = delete; // A copy's spans would point into the original.
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction() = default;

  /// The blob's content becomes exactly these bytes, and their count its size. Only what differs
  /// from the current content is written to the device.
  void write(std::string_view blob, std::span<const std::byte> bytes);
  void write(std::string_view blob, std::vector<std::byte>&& bytes);
  /// Overwrites bytes from offset_bytes on. Beyond the current size the blob grows; a gap is zero.
  void write_range(std::string_view blob, std::uint64_t offset_bytes,
                   std::span<const std::byte> bytes);
  void write_range(std::string_view blob, std::uint64_t offset_bytes,
                   std::vector<std::byte>&& bytes);
  /// The same with zeros, which cost next to nothing on the image.
  void zero_range(std::string_view blob, std::uint64_t offset_bytes, std::uint64_t length_bytes);
  /// Cuts the blob, or lengthens it with zeros.
  void set_size(std::string_view blob, std::uint64_t size_bytes);

  [[nodiscard]] bool empty() const { return updates_.empty(); }

  enum class Action { write, write_range, zero_range, set_size };
  struct Update {
    Action action = Action::write;
    std::string blob;
    std::uint64_t offset_bytes = 0; ///< set_size: the new size.
    std::span<const std::byte> bytes;
    std::vector<std::byte> owned;        ///< What `bytes` points into, if it was taken over.
    std::uint64_t zero_length_bytes = 0; ///< zero_range only.
    /// The first byte behind what is written; set_size: the new size.
    [[nodiscard]] std::uint64_t end_bytes() const {
      return offset_bytes + bytes.size() + zero_length_bytes;
    }
  };
  [[nodiscard]] const std::vector<Update>& updates() const { return updates_; }

private:
  std::vector<Update> updates_;
};

} // namespace vnvram
