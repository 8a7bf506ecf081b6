// What a TPM 2.0 that is on tells everybody who has all rights to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "crypto/public_key.h"
#include "identity/endorsement.h"
#include "soft_tpm/soft_tpm.h"

namespace vnvram {

/// Whatever somebody has, or has left, in the TPM's NV memory.
struct NvArea {
  /// Made by the right of the platform, which is its firmware's: a guest's system has only the
  /// owner's.
  bool is_platforms = false;
  bool was_written = false;
  std::optional<std::vector<std::byte>> content; ///< Nothing: not to be had without a secret.
};

/// An answer that cannot be understood is none.
class TpmReader {
public:
  /// It is on and started up, and no one else uses it.
  explicit TpmReader(SoftTpm& tpm) : tpm_(tpm) {}

  /// Nothing: there is none.
  [[nodiscard]] std::optional<NvArea> area(std::uint32_t index);
  /// The public half of a key that is kept in the TPM; nothing: there is none, or it is of a kind
  /// that is not known here.
  [[nodiscard]] std::optional<PublicKey> key(std::uint32_t handle);

  /// For a TPM that is thrown away: takes all that its owner has made, with the passwords, so that
  /// make_key() needs none.
  bool free_endorsement_keys();
  /// The public half of what the TPM makes of its seed and the standard's template, the same each
  /// time. It takes a moment.
  [[nodiscard]] std::optional<PublicKey> make_key(const EndorsementKind& kind);

private:
  using Bytes = std::vector<std::byte>;

  /// What is behind the response's header. Nothing: it was not carried out.
  std::optional<Bytes> run(Bytes command);
  std::optional<Bytes> content_of_area(std::uint32_t authority, std::uint32_t index,
                                       std::uint16_t size_bytes);
  std::optional<Bytes> part_of_area(std::uint32_t authority, std::uint32_t index,
                                    std::uint16_t offset_bytes, std::uint16_t size_bytes);

  SoftTpm& tpm_;
};

} // namespace vnvram
