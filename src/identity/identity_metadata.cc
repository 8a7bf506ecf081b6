#include "identity/identity_metadata.h"

#include <algorithm>

#include <fmt/core.h>

#include "base/hex.h"

namespace vnvram {
namespace {

std::string digest_name(std::string_view prefix, const EndorsementKind& kind) {
  return fmt::format("{}tpm.ek.{}.certificate.sha256", prefix, kind.name);
}

std::string key_name(std::string_view prefix, const EndorsementKind& kind) {
  return fmt::format("{}tpm.ek.{}.public-key", prefix, kind.name);
}

} // namespace

PublicMetadata identity_metadata(const TpmIdentity& identity, std::string_view prefix) {
  PublicMetadata metadata;
  for (const EndorsementKey& key : identity.endorsement_keys) {
    metadata.emplace(digest_name(prefix, key.kind), hex(key.certificate_digest));
    metadata.emplace(key_name(prefix, key.kind), key.certificate.public_key().pem());
  }
  return metadata;
}

PublicMetadata identity_room(std::string_view prefix) {
  constexpr std::size_t key_max_bytes = 640; // RSA 3072 in PEM has 625.
  PublicMetadata room;
  for (const EndorsementKind& kind : endorsement_kinds()) {
    if (kind.name == "rsa3072" || kind.name == "p384") {
      room.emplace(digest_name(prefix, kind), std::string(2 * sizeof(Sha256Digest), '0'));
      room.emplace(key_name(prefix, kind), std::string(key_max_bytes, '0'));
    }
  }
  return room;
}

std::vector<std::string> identity_names(std::string_view prefix) {
  std::vector<std::string> names;
  for (const EndorsementKind& kind : endorsement_kinds()) {
    names.insert(names.end(), {digest_name(prefix, kind), key_name(prefix, kind)});
  }
  return names;
}

std::vector<SaidEndorsementKey> said_identity(const PublicMetadata& metadata,
                                              std::string_view prefix) {
  const auto value = [&](const std::string& name) {
    const auto found = metadata.find(name);
    return found == metadata.end() ? std::string() : found->second;
  };
  std::vector<SaidEndorsementKey> said;
  for (const EndorsementKind& kind : endorsement_kinds()) {
    SaidEndorsementKey key{.kind = kind,
                           .certificate_digest = value(digest_name(prefix, kind)),
                           .public_key = value(key_name(prefix, kind))};
    if (!key.certificate_digest.empty() || !key.public_key.empty()) {
      said.push_back(std::move(key));
    }
  }
  return said;
}

Status check_identity_prefix(std::string_view prefix) {
  std::size_t longest = 0;
  for (const EndorsementKind& kind : endorsement_kinds()) {
    longest = std::max(longest, digest_name({}, kind).size());
  }
  if (prefix.size() + longest <= public_name_max_bytes) {
    return {};
  }
  return Error(ErrorKind::invalid_argument,
               fmt::format("'{}' is too long a prefix for the names of a TPM's identity", prefix),
               fmt::format("write up to {} characters", public_name_max_bytes - longest));
}

} // namespace vnvram
