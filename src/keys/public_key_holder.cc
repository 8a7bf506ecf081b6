#include "keys/public_key_holder.h"

#include <fmt/core.h>

#include "keys/key_input.h"

namespace vnvram {

Result<std::span<const std::byte>> PublicKeyHolder::secret_for(const format::KeySlot& /*slot*/,
                                                               const std::string& /*image*/) {
  return Error(ErrorKind::invalid_argument, path_ + ": a public key opens nothing");
}

Result<NewHolder> PublicKeyHolder::make_new(const std::string& /*image*/) {
  const auto pem = read_public_file(path_, format::holder_key_max_bytes);
  if (!pem) {
    return pem.error();
  }
  const Result<AgreementPublicKey> key = agreement_public_key_from_pem(*pem);
  if (!key) {
    return Error(key.error().kind(), fmt::format("{}: {}", path_, key.error().cause()),
                 key.error().remedy());
  }
  return NewHolder{
      .kind = KeySlotKind::public_key, .secret = {}, .public_key = *key, .public_part = {}};
}

} // namespace vnvram
