#include "cli/tpm_identity.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "base/secret_bytes.h"
#include "cli/input.h"
#include "cli/owner_socket.h"
#include "cli/reader.h"
#include "cli/text.h"
#include "identity/tpm_identity.h"
#include "service/private_memory.h"
#include "soft_tpm/quiet_libtpms.h"
#include "soft_tpm/tpm_blobs.h"
#include "vnvram/store.h"

namespace vnvram::cli {
namespace {

nlohmann::ordered_json json_of(const EndorsementKey& key) {
  const bool is_there = key.key_in_tpm.has_value();
  const bool is_same = is_there && *key.key_in_tpm == key.certificate.public_key();
  return {{"kind", key.kind.name},
          {"certificate_sha256", hex(key.certificate_digest)},
          {"certificate", key.certificate.pem()},
          {"public_key", key.certificate.public_key().pem()},
          {"key_in_tpm", !is_there ? "absent"
                         : is_same ? "the same"
                                   : "another"}};
}

nlohmann::ordered_json json_of(const SaidEndorsementKey& key) {
  nlohmann::ordered_json json = {{"kind", key.kind.name}};
  if (!key.certificate_digest.empty()) {
    json["certificate_sha256"] = key.certificate_digest;
  }
  if (!key.public_key.empty()) {
    json["public_key"] = key.public_key;
  }
  return json;
}

// PEM is lines, which may stay lines; nothing else that an image says may steer a terminal.
std::string printable_lines(const std::string& text) {
  std::string lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines += printable(text.substr(at, end - at)) + "\n";
    at = end + 1;
  }
  return lines;
}

std::string text_of(const EndorsementKey& key) {
  const bool is_another = key.key_in_tpm && *key.key_in_tpm != key.certificate.public_key();
  return fmt::format("endorsement key: {}{}\ncertificate's SHA-256: {}\n{}{}", key.kind.title,
                     is_another       ? "; the key that the TPM keeps in its place is another"
                     : key.key_in_tpm ? ""
                                      : "; absent in its place, and made again by the TPM",
                     hex(key.certificate_digest), key.certificate.pem(),
                     key.certificate.public_key().pem());
}

std::string text_of(const SaidEndorsementKey& key) {
  return fmt::format(
      "unproven endorsement key: {}\nunproven certificate's SHA-256: {}\n{}", key.kind.title,
      key.certificate_digest.empty() ? "not said" : printable(key.certificate_digest),
      printable_lines(key.public_key));
}

Result<PublicMetadata> metadata_of(const std::string& image, const DeviceOptions& options) {
  const auto device = open_device(image, Access::read_only, options);
  return device ? read_public_metadata(**device) : device.error();
}

} // namespace

void TpmIdentityVerb::add_to(CLI::App& verb) {
  verb.add_option("--blobs", prefix_,
                  "the TPM whose blobs' names begin so, of an image with several")
      ->type_name("PREFIX");
  verb.add_flag("--unproven", unproven_,
                "without a key, print what the public metadata of an encrypted image say, which "
                "whoever can write to it can change");
  verb.add_flag("--json", json_, "print JSON");
}

Result<TpmIdentityVerb::Bytes> TpmIdentityVerb::read_state(const std::string& image,
                                                           const DeviceOptions& device,
                                                           const KeyRing& keys) const {
  const std::string name =
      prefix_ + std::string(tpm_blob_name(TpmVersion::tpm2_0, TpmState::permanent));
  if (is_owner_socket(image)) {
    const auto client = connect_blobs(image);
    return client ? (*client)->read_all(name) : client.error();
  }
  Bytes state;
  const Status read = read_image(image, device, keys, [&](Store& store) {
    auto content = store.read(name);
    if (content) {
      state = *std::move(content);
      return Status();
    }
    const bool is_other =
        store.blob(prefix_ + std::string(tpm_blob_name(TpmVersion::tpm1_2, TpmState::permanent)))
            .ok();
    return content.error().kind() == ErrorKind::not_found && is_other
               ? Status(Error(ErrorKind::unsupported, "its TPM is a TPM 1.2",
                              "only a TPM 2.0 has certificates where they can be read"))
               : Status(content.error());
  });
  return read ? Result<Bytes>(std::move(state)) : read.error();
}

Result<ExitCode> TpmIdentityVerb::show_said(const std::string& image, const DeviceOptions& device,
                                            const Error& no_key, Output& output) const {
  const Result<PublicMetadata> metadata = metadata_of(image, device);
  if (!metadata) {
    return metadata.error();
  }
  const std::vector<SaidEndorsementKey> said = said_identity(*metadata, prefix_);
  if (said.empty()) {
    return Error(no_key.kind(),
                 no_key.cause() + "; and its public metadata say nothing of a TPM's identity",
                 no_key.remedy());
  }
  if (!unproven_) {
    return Error(no_key.kind(), no_key.cause(),
                 no_key.remedy() + "; --unproven prints what its public metadata say of a TPM");
  }
  show_note(printable(image) + ": without a key, this is what its public metadata say, which "
                               "whoever can write to the image can change");
  nlohmann::ordered_json keys = nlohmann::ordered_json::array();
  std::string text;
  for (const SaidEndorsementKey& key : said) {
    keys.push_back(json_of(key));
    text += text_of(key);
  }
  if (json_) {
    output.write_json({{"known_from", "public metadata"}, {"endorsement_keys", keys}});
  } else {
    output.write_text(text);
  }
  return ExitCode::ok;
}

void TpmIdentityVerb::show(const TpmIdentity& identity, Output& output) const {
  nlohmann::ordered_json keys = nlohmann::ordered_json::array();
  std::string text;
  for (const EndorsementKey& key : identity.endorsement_keys) {
    keys.push_back(json_of(key));
    text += text_of(key);
  }
  nlohmann::ordered_json json = {{"known_from", "state"}, {"endorsement_keys", keys}};
  for (const LeftOutCertificate& each : identity.left_out) {
    json["left_out"].push_back({{"whose", each.whose}, {"why", text_of(each.why)}});
  }
  if (identity.platform) {
    json["platform_certificate"] = identity.platform->pem();
    text += "platform certificate:\n" + identity.platform->pem();
  }
  if (json_) {
    output.write_json(json);
  } else {
    output.write_text(text);
  }
}

Result<ExitCode> TpmIdentityVerb::run(const std::string& image, const DeviceOptions& device,
                                      const KeyRing& keys, Output& output) const {
  keep_memory_private();
  Result<Bytes> state = read_state(image, device, keys);
  if (!state) {
    return state.error().kind() == ErrorKind::key_needed
               ? show_said(image, device, state.error(), output)
               : state.error();
  }
  const SecretBytes secret(*std::move(state));
  if (secret.get().empty()) {
    return Error(ErrorKind::not_found, "its TPM has never been started, and has no identity yet",
                 "have it made with one: create --manufacture");
  }
  const QuietLibtpms quiet; // What it does not like is said by us.
  const Result<TpmIdentity> identity = read_tpm_identity(secret.get());
  if (!identity) {
    return identity.error();
  }
  for (const LeftOutCertificate& each : identity->left_out) {
    show_note(fmt::format("{}: the certificate of {} is left out: {}", printable(image), each.whose,
                          text_of(each.why)));
  }
  if (identity->endorsement_keys.empty()) {
    return Error(ErrorKind::not_found, "its TPM has no EK certificate",
                 "a TPM gets one when it is made: create --manufacture, or swtpm_setup");
  }
  show(*identity, output);
  return ExitCode::ok;
}

} // namespace vnvram::cli
