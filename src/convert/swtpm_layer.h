// One layer of what swtpm puts around a TPM's state: what is in it, plain or encrypted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/secret_bytes.h"
#include "convert/swtpm_header.h"
#include "convert/swtpm_key.h"
#include "convert/swtpm_tag.h"
#include "vnvram/result.h"

namespace vnvram {

/// In a file there is the state's alone; on the wire it is in the migration's, and the header is of
/// both.
struct SwtpmLayer {
  SwtpmTag plain;
  SwtpmTag encrypted;
  SwtpmTag vector;
  std::uint16_t encrypted_flag;
  std::uint16_t long_key_flag; ///< The key has 256 bits.
  std::string_view key_name;   ///< For messages.

  static const SwtpmLayer& of_state();
  static const SwtpmLayer& of_migration();

  /// Puts it around these bytes, encrypted if there is a key, and notes that in `flags`. Errors:
  /// io, unsupported: those of SwtpmKey::seal().
  [[nodiscard]] Result<std::vector<std::byte>>
  wrap(std::span<const std::byte> bytes, const SwtpmKey* key, std::uint16_t& flags) const;
  /// What is in it. `is_encrypted`: as far as the caller knows. Errors: key_needed; wrong_key (it
  /// is another one, or of another size); corrupt (there is nothing in it, or it is damaged).
  [[nodiscard]] Result<SecretBytes> unwrap(const SwtpmHeader& header,
                                           std::span<const std::byte> content, bool is_encrypted,
                                           const SwtpmKey* key) const;

private:
  [[nodiscard]] Result<SecretBytes>
  decrypt(const SwtpmHeader& header, std::span<const std::byte> content, const SwtpmKey& key) const;
  [[nodiscard]] Error key_needed() const;
};

} // namespace vnvram
