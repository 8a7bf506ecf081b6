// What a TPM 2.0 that is on tells everybody who has all rights to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "crypto/public_key.h"
#include "soft_tpm/soft_tpm.h"

namespace vnvram {

/// Changes nothing of what the TPM keeps. An answer that cannot be understood is none.
class TpmReader {
public:
  /// It is on and started up, and no one else uses it.
  explicit TpmReader(SoftTpm& tpm) : tpm_(tpm) {}

  /// An NV area that can be read without a secret; nothing: there is none.
  [[nodiscard]] std::optional<std::vector<std::byte>> area(std::uint32_t index);
  /// The public half of a key that is kept in the TPM; nothing: there is none, or it is of a kind
  /// that is not known here.
  [[nodiscard]] std::optional<PublicKey> key(std::uint32_t handle);

private:
  using Bytes = std::vector<std::byte>;

  /// What is behind the response's header. Nothing: it was not carried out.
  std::optional<Bytes> run(Bytes command);
  std::optional<Bytes> part_of_area(std::uint32_t authority, std::uint32_t index,
                                    std::uint16_t offset_bytes, std::uint16_t size_bytes);

  SoftTpm& tpm_;
};

} // namespace vnvram
