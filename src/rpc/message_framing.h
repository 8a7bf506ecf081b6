// Where the messages of a stream begin and end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace vnvram {

/// Follows a stream of Cap'n Proto messages: the number of a message's segments less one and their
/// lengths in words of eight bytes, each a little-endian word of four bytes, filled up to a
/// multiple of eight; then the segments. What the messages say is not looked at. Those of a lane
/// for changes (lane_frame.h) are messages of one segment.
class MessageFraming {
public:
  /// The next bytes of the stream.
  void take(std::span<const std::byte> bytes);
  /// Those up to the end of the message that they begin, or go on with. Returns how many.
  std::size_t take_message(std::span<const std::byte> bytes);
  /// Everything that has begun has ended.
  [[nodiscard]] bool is_between_messages() const { return table_.empty() && missing_bytes_ == 0; }
  /// What comes next, and belongs to the message that has begun; 0: that is not known yet.
  [[nodiscard]] std::uint64_t missing_bytes() const { return missing_bytes_; }

private:
  /// Of the table, or of the segments.
  std::size_t take_part(std::span<const std::byte> bytes);
  void finish_table();

  std::vector<std::byte> table_; ///< Of the message that comes: as much of it as there is.
  std::size_t table_size_bytes_ = 0;
  std::uint64_t missing_bytes_ = 0; ///< Of its segments.
  bool is_nonsense_ = false;        ///< Cap'n Proto ends the connection.
};

} // namespace vnvram
