// A key between two, one of whom has a key pair that is used once.
#pragma once

#include <span>
#include <string_view>

#include "crypto/key_agreement.h"
#include "crypto/sealing_key.h"
#include "vnvram/result.h"

namespace vnvram {

/// Of who seals, for a holder of whom there is the public key only.
struct AgreedKey {
  SealingKey key;
  AgreementPublicKey ephemeral; ///< By which the holder finds it.
};

/// What is agreed is derived for `purpose`, with both public keys as the salt: docs/format.md says
/// how. Errors: those of agree(), and of who has no random numbers or cannot (io, unsupported).
Result<AgreedKey> make_agreed_key(const AgreementPublicKey& holder, std::string_view purpose);

/// The same, of the holder. Errors: those of agree(), unsupported.
Result<SealingKey> find_agreed_key(std::span<const std::byte> private_key,
                                   const AgreementPublicKey& ephemeral,
                                   const AgreementPublicKey& holder, std::string_view purpose);

} // namespace vnvram
