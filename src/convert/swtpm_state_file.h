// A TPM's state as swtpm keeps it in a file, or in a section of one.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/secret_bytes.h"
#include "convert/swtpm_key.h"
#include "soft_tpm/tpm_blobs.h"
#include "vnvram/blob.h"
#include "vnvram/result.h"

namespace vnvram {

/// Of one TPM, in the order of TpmState, as swtpm has them; nullopt: there is none.
using SwtpmStateFiles = std::array<std::optional<std::vector<std::byte>>, tpm_state_count>;

/// A header, and the state behind it (see SwtpmLayer). The first versions had a header in front of
/// the bare state, or not even that.
class SwtpmStateFile {
public:
  /// No libtpms makes a state as large as a blob can be, and no wrapping takes more than a KiB.
  static constexpr std::size_t size_max_bytes = blob_size_max_bytes + 1024;

  /// What libtpms made. `key`: nullptr for none; as with swtpm, one is for a state that is
  /// encrypted. What comes of a file without a header is not proven: libtpms has to say whether it
  /// is a state. Errors: key_needed; wrong_key (another one, or the state is not encrypted);
  /// corrupt (damaged, or no such file); too_new.
  static Result<SecretBytes> unwrap(std::span<const std::byte> bytes, const SwtpmKey* key);
  /// What swtpm reads, from 0.1 on without a key, from 0.2 on with one. Errors: those of
  /// SwtpmKey::seal().
  static Result<std::vector<std::byte>> wrap(std::span<const std::byte> state, const SwtpmKey* key);
};

} // namespace vnvram
