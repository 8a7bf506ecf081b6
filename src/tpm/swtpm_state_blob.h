// What swtpm puts around a TPM's state when it travels on the control channel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "soft_tpm/soft_tpm.h"

namespace vnvram {

/// On the wire: a header of ten bytes (version 2, least version of a reader 1, size of the header,
/// flags, length of all), then one tag-length-value "migration data", in which there is one "data",
/// in which is what libtpms made. All numbers are big-endian.
///
/// With a migration key, or a key for the state's file, one of the two is encrypted and has other
/// tags. We have no keys, so that is refused.
class SwtpmStateBlob {
public:
  /// No wrapping takes more, an encrypted one neither.
  static constexpr std::size_t wrapping_max_bytes = 1024;

  struct Unwrapped {
    TpmResult result = tpm_success;   ///< As swtpm answers, if it is not to be used.
    std::string_view reason;          ///< For the log, then.
    std::span<const std::byte> state; ///< In the bytes that were unwrapped.
  };

  /// No state is no bytes.
  static std::vector<std::byte> wrap(std::span<const std::byte> state);
  /// State that is not wrapped, as earlier versions of ours sent it, is returned as it is: libtpms'
  /// own begins with a zero byte, and swtpm's header with its version.
  static Unwrapped unwrap(std::span<const std::byte> bytes);
};

} // namespace vnvram
