// All states of a TPM in one file or on one device, as swtpm's back end file:// has them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "convert/swtpm_state_file.h"
#include "soft_tpm/tpm_blobs.h"
#include "vnvram/result.h"

namespace vnvram {

/// A header of 192 bytes, all numbers little-endian: a magic, a version, and 15 entries of {place,
/// length, length of the section}, of which three are used. The sections lie behind it one after
/// the other, each of a power of two; a device may go on behind them.
class SwtpmLinearFile {
public:
  static constexpr std::size_t header_size_bytes = 192;

  struct Section {
    std::uint64_t offset_bytes = 0;
    std::uint64_t length_bytes = 0; ///< Of what is in it.
  };
  /// In the order of TpmState; nullopt: there is no such state.
  using Sections = std::array<std::optional<Section>, tpm_state_count>;

  /// Whether these bytes are meant to be one.
  [[nodiscard]] static bool begins(std::span<const std::byte> bytes);
  /// Where the states are, of a file or device of this size that begins with these bytes. Each of
  /// them is in it. Errors: foreign (it does not begin as one), too_new, corrupt.
  static Result<Sections> parse(std::span<const std::byte> header, std::uint64_t size_bytes);
  /// The file that swtpm itself would have made of them.
  [[nodiscard]] static std::vector<std::byte> compose(const SwtpmStateFiles& states);
};

} // namespace vnvram
