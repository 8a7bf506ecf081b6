#include "identity/endorsement_template.h"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "identity/algorithm_numbers.h"
#include "identity/number_bytes.h"

namespace vnvram {
namespace {

using Bytes = std::vector<std::byte>;

// Fixed to this TPM and this parent, made by it, administered by the policy, restricted, decrypts.
constexpr std::uint32_t attributes_low = 0x000300b2;
// And used with a password.
constexpr std::uint32_t attributes_high = 0x000300f2;

/// The profile has two ranges of templates: "low" for the kinds that came first, and "high".
struct Template {
  std::string_view name; ///< EndorsementKind's.
  std::uint16_t key_algorithm;
  std::uint16_t size_or_curve; ///< Bits of RSA, or the curve's number.
  std::uint16_t unique_size_bytes;
  bool high;
};

constexpr std::array<Template, 4> templates = {{
    {"rsa2048", algorithm::rsa, 2048, 256, false},
    {"p256", algorithm::ecc, 3, 32, false},
    {"p384", algorithm::ecc, 4, 0, true},
    {"rsa3072", algorithm::rsa, 3072, 0, true},
}};

// PolicySecret of the endorsement hierarchy; and that, or one with an NV area.
constexpr std::array<std::uint8_t, 32> policy_low = {
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
    0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};
constexpr std::array<std::uint8_t, 48> policy_high = {
    0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, 0xf5, 0xfd, 0x3a, 0x1a,
    0x07, 0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4, 0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca,
    0xcb, 0x47, 0xba, 0x09, 0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12};

Bytes composed(const Template& parts) {
  Bytes bytes;
  append(bytes, parts.key_algorithm);
  append(bytes, parts.high ? algorithm::sha384 : algorithm::sha256);
  append(bytes, parts.high ? attributes_high : attributes_low);
  append_sized(bytes, std::as_bytes(parts.high ? std::span<const std::uint8_t>(policy_high)
                                               : std::span<const std::uint8_t>(policy_low)));
  append(bytes, algorithm::aes);
  append(bytes, static_cast<std::uint16_t>(parts.high ? 256 : 128));
  append(bytes, algorithm::cfb);
  append(bytes, algorithm::none); // No scheme.
  append(bytes, parts.size_or_curve);
  const Bytes unique(parts.unique_size_bytes);
  if (parts.key_algorithm == algorithm::rsa) {
    append(bytes, std::uint32_t{0}); // The usual exponent.
  } else {
    append(bytes, algorithm::none); // No derivation of keys.
    append_sized(bytes, unique);
  }
  append_sized(bytes, unique);
  return bytes;
}

} // namespace

std::vector<std::byte> endorsement_template(const EndorsementKind& kind) {
  for (const Template& each : templates) {
    if (each.name == kind.name) {
      return composed(each);
    }
  }
  return {};
}

} // namespace vnvram
