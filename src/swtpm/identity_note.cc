#include "swtpm/identity_note.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "base/operator_text.h"
#include "base/secret_bytes.h"
#include "identity/identity_metadata.h"
#include "identity/tpm_identity.h"
#include "soft_tpm/tpm_blobs.h"
#include "vnvram/public_metadata.h"

namespace vnvram {
namespace {

/// Of some certificate that may be in the state not all is said.
bool is_unsaid(std::span<const std::byte> state, const std::vector<SaidEndorsementKey>& said) {
  return std::ranges::any_of(endorsement_kinds(), [&](const EndorsementKind& kind) {
    return may_have_certificate(state, kind) &&
           std::ranges::none_of(said, [&](const SaidEndorsementKey& key) {
             return key.kind.name == kind.name && !key.certificate_digest.empty() &&
                    !key.public_key.empty();
           });
  });
}

/// Empty: there is nothing to note.
Result<SecretBytes> state_to_note(ImageKeeper& keeper) {
  Result<StoreUse> store = keeper.use(StoreGate::Purpose::read);
  if (!store.ok()) {
    return store.error();
  }
  const Result<PublicMetadata> metadata = read_public_metadata((*store)->device());
  if (!metadata.ok()) {
    return metadata.error();
  }
  auto state = (*store)->read(tpm_blob_name(TpmVersion::tpm2_0, TpmState::permanent));
  if (!state.ok()) {
    return state.error();
  }
  SecretBytes secret(*std::move(state));
  return is_unsaid(secret.get(), said_identity(*metadata, {})) ? std::move(secret) : SecretBytes();
}

Status note(ImageKeeper& keeper, const Log& log) {
  const Result<SecretBytes> state = state_to_note(keeper);
  if (!state.ok() || state->get().empty()) {
    return state.ok() ? Status() : state.error();
  }
  const Result<TpmIdentity> identity = read_tpm_identity(state->get());
  if (!identity.ok()) {
    return identity.error();
  }
  Result<StoreUse> store = keeper.use(StoreGate::Purpose::change);
  if (!store.ok()) {
    return store.error();
  }
  for (const auto& [name, value] : identity_metadata(*identity, {})) {
    if (const Status set = (*store)->set_metadata(name, value); !set.ok()) {
      return set;
    }
    log.info("noted in the image's public metadata: " + name);
  }
  return {};
}

} // namespace

void note_identity(ImageKeeper& keeper, const Log& log) {
  if (const Status noted = note(keeper, log); !noted.ok()) {
    log.info("the TPM's identity is not noted in the image's public metadata: " +
             operator_text(noted.error()));
  }
}

} // namespace vnvram
