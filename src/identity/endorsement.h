// The endorsement keys that a TPM 2.0 can have, by the registry of the TCG.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace vnvram {

/// One kind of endorsement key: where its certificate is, and where who manufactures a TPM leaves
/// the key.
struct EndorsementKind {
  std::string_view name;  ///< In names: "rsa2048".
  std::string_view title; ///< For people: "RSA 2048".
  std::uint32_t certificate_area;
  std::uint32_t key_handle;
};

/// In the order in which they are shown.
[[nodiscard]] std::span<const EndorsementKind> endorsement_kinds();

/// Where the certificate of the machine that the TPM is part of is.
inline constexpr std::uint32_t platform_certificate_area = 0x01c08000;

} // namespace vnvram
