#include "identity/endorsement.h"

namespace vnvram {
namespace {

// The areas are those of the TCG's EK Credential Profile; the handles those of its registry, and
// where it has none, those of swtpm_setup.
constexpr std::array<EndorsementKind, 4> kinds = {{
    {"rsa2048", "RSA 2048", 0x01c00002, 0x81010001},
    {"p256", "ECC NIST P-256", 0x01c0000a, 0x81010002},
    {"p384", "ECC NIST P-384", 0x01c00016, 0x81010016},
    {"rsa3072", "RSA 3072", 0x01c0001c, 0x8101001c},
}};

} // namespace

std::span<const EndorsementKind> endorsement_kinds() {
  return kinds;
}

} // namespace vnvram
