// What swtpm puts around a TPM's state when it travels on the control channel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/secret_bytes.h"
#include "convert/swtpm_key.h"
#include "soft_tpm/soft_tpm.h"
#include "vnvram/result.h"

namespace vnvram {

/// On the wire: a header, then the migration's layer, and in that the state's. Either may be
/// encrypted, each with a key of its own.
class SwtpmStateBlob {
public:
  /// No wrapping takes more, an encrypted one neither.
  static constexpr std::size_t wrapping_max_bytes = 1024;

  /// Both may be missing. The migration key is the caller's on every host, the state's that of
  /// swtpm's file.
  struct Keys {
    const SwtpmKey* migration = nullptr;
    const SwtpmKey* state = nullptr;
  };

  struct Unwrapped {
    TpmResult result = tpm_success; ///< As swtpm answers, if it is not to be used.
    std::string reason;             ///< For the log, then.
    SecretBytes state;
  };

  /// Without keys, which cannot fail. No state is no bytes.
  static std::vector<std::byte> wrap(std::span<const std::byte> state);
  /// Each layer is encrypted that there is a key for: the state's is for who has asked for it as it
  /// is in the file (PTM_STATE_FLAG_DECRYPTED is not set). Errors: those of SwtpmKey::seal().
  static Result<std::vector<std::byte>> wrap(std::span<const std::byte> state, const Keys& keys);

  /// A layer that is not encrypted is taken, whether there is a key for it or not: so state moves
  /// from hosts without keys to hosts with them. `is_encrypted`: who sends it says that the state's
  /// is (PTM_STATE_FLAG_ENCRYPTED). State that is not wrapped, as earlier versions of ours sent it,
  /// is returned as it is: libtpms' own begins with a zero byte, and swtpm's header with its
  /// version.
  static Unwrapped unwrap(std::span<const std::byte> bytes, const Keys& keys, bool is_encrypted);
};

} // namespace vnvram
