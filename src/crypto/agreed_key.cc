#include "crypto/agreed_key.h"

#include <utility>
#include <vector>

#include "crypto/key_derivation.h"

namespace vnvram {
namespace {

Result<SealingKey> key_of(const Result<SecretBytes>& shared, const AgreementPublicKey& ephemeral,
                          const AgreementPublicKey& holder, std::string_view purpose) {
  if (!shared) {
    return shared.error();
  }
  std::vector<std::byte> salt(ephemeral.begin(), ephemeral.end());
  salt.insert(salt.end(), holder.begin(), holder.end());
  const auto key = derive_key(shared->get(), salt, purpose, SealingKey::key_size_bytes);
  return key ? SealingKey::make(key->get()) : key.error();
}

} // namespace

Result<AgreedKey> make_agreed_key(const AgreementPublicKey& holder, std::string_view purpose) {
  const auto once = make_agreement_key();
  const auto shown = once ? agreement_public_key(once->get()) : once.error();
  if (!shown) {
    return shown.error();
  }
  Result<SealingKey> key = key_of(agree(once->get(), holder), *shown, holder, purpose);
  return key ? Result<AgreedKey>(AgreedKey{.key = *std::move(key), .ephemeral = *shown})
             : key.error();
}

Result<SealingKey> find_agreed_key(std::span<const std::byte> private_key,
                                   const AgreementPublicKey& ephemeral,
                                   const AgreementPublicKey& holder, std::string_view purpose) {
  return key_of(agree(private_key, ephemeral), ephemeral, holder, purpose);
}

} // namespace vnvram
