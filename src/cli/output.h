// Standard output, with its failures noticed.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string_view>

#include "vnvram/result.h"

namespace vnvram::cli {

/// Writes to a file descriptor at once. After the first failure it drops what comes and remembers
/// the failure: a closed pipe or a full disk must not end as a success.
class Output {
public:
  /// `descriptor` stays the caller's until finish().
  explicit Output(int descriptor) : descriptor_(descriptor) {}

  void write_text(std::string_view text);
  void write_bytes(std::span<const std::byte> bytes);
  /// Two spaces deep, in the order of the keys; bytes that are not UTF-8 become U+FFFD, and
  /// what is not printable ASCII is escaped.
  void write_json(const nlohmann::ordered_json& json);
  /// The same in one line.
  void write_json_line(const nlohmann::ordered_json& json);
  /// What comes is dropped.
  [[nodiscard]] bool has_failed() const { return error_number_ != 0; }

  /// Closes the descriptor, and says whether everything was taken.
  Status finish();

private:
  int descriptor_;
  int error_number_ = 0;
};

} // namespace vnvram::cli
