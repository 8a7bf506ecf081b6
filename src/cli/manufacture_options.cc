#include "cli/manufacture_options.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "cli/machine_programs.h"
#include "identity/identity_metadata.h"
#include "identity/tpm_identity.h"
#include "service/private_memory.h"
#include "soft_tpm/tpm_blobs.h"

namespace vnvram::cli {
namespace {

bool is_new_tpm(const NewBlob& blob) {
  return blob.spec.type == tpm_blob_type(TpmVersion::tpm2_0, TpmState::permanent) && !blob.content;
}

std::string prefix_of(const NewBlob& permanent) {
  const std::size_t length = tpm_blob_name(TpmVersion::tpm2_0, TpmState::permanent).size();
  return permanent.spec.name.substr(0, permanent.spec.name.size() - length);
}

// What was asked for is there, or there is no image.
Status check_identity(const TpmIdentity& identity, const ManufactureOrder& options) {
  const auto incomplete = [](const std::string& what) {
    return Error(ErrorKind::io, "swtpm_setup has made a TPM " + what,
                 "see what its configuration has it do: --config");
  };
  for (const LeftOutCertificate& each : identity.left_out) {
    return incomplete(
        fmt::format("whose certificate of {} does not count: {}", each.whose, text_of(each.why)));
  }
  if (options.certifies_key && identity.endorsement_keys.empty()) {
    return incomplete("without an EK certificate");
  }
  if (options.certifies_platform && !identity.platform) {
    return incomplete("without a platform certificate");
  }
  return {};
}

} // namespace

void ManufactureOptions::add_to(CLI::App& app) {
  const std::string group = "Manufacture (by swtpm_setup, with its words)";
  CLI::Option* const wanted = app.add_flag(
      "--manufacture", wanted_,
      "each TPM 2.0 gets endorsement keys and certificates, as swtpm_setup and swtpm_localca "
      "make them; its NV memory is locked");
  const auto flag = [&](const char* name, bool& value, const char* what) {
    return app.add_flag(name, value, what)->needs(wanted)->group(group);
  };
  const auto value = [&](const char* name, std::string& text, const char* what, const char* type) {
    app.add_option(name, text, what)->needs(wanted)->group(group)->type_name(type);
  };
  wanted->group(group);
  value("--vmid", order_.machine, "whom the certificates are for, e.g. the machine's name", "ID");
  value("--config", order_.config,
        "swtpm_setup's configuration, which names the certificates' issuer; if not said, "
        "swtpm_setup.conf in XDG_CONFIG_HOME (~/.config), or else in /etc",
        "FILE");
  value("--pcr-banks", order_.pcr_banks,
        "the PCR banks that are active, e.g. sha256,sha384; - for all of them", "BANKS");
  value("--rsa-keysize", order_.rsa_key_size, "of the RSA endorsement key: 2048 or 3072", "BITS");
  flag("--no-ek-cert", no_key_certificate_,
       "no certificate of the endorsement keys, nor any other");
  flag("--no-platform-cert", no_platform_certificate_, "no platform certificate");
  flag("--no-lock-nvram", no_lock_, "the areas of the certificates can be written to");
  CLI::Option* const storage_key =
      flag("--create-spk", order_.makes_storage_key, "a storage primary key as well");
  flag("--ecc", order_.storage_key_is_ecc, "the storage primary key is an ECC one")
      ->needs(storage_key);
  flag("--allow-signing", order_.allows_signing,
       "the endorsement keys can sign; no standard knows such keys");
  flag("--decryption", order_.allows_decryption,
       "they can decrypt, as is usual; to be said beside --allow-signing");
}

Status ManufactureOptions::check(const CreateOptions& options) const {
  if (!wanted_) {
    return {};
  }
  if (std::none_of(options.blobs.begin(), options.blobs.end(), is_new_tpm)) {
    return Error(ErrorKind::invalid_argument, "--manufacture without a new TPM 2.0",
                 "give --tpm2 as well");
  }
  for (const NewBlob& blob : options.blobs) {
    if (is_new_tpm(blob)) {
      if (const Status fits = check_identity_prefix(prefix_of(blob)); !fits) {
        return fits;
      }
    }
  }
  return {};
}

PublicMetadata ManufactureOptions::metadata_room(const CreateOptions& options) const {
  PublicMetadata room;
  for (const NewBlob& blob : options.blobs) {
    if (is_new_tpm(blob) && !no_key_certificate_) {
      room.merge(identity_room(prefix_of(blob)));
    }
  }
  return room;
}

Status ManufactureOptions::fill_one(NewBlob& permanent, PublicMetadata& metadata) const {
  ManufactureOrder wanted = order_;
  wanted.tpm_program = private_program("vnvram-swtpm");
  wanted.certifies_key = !no_key_certificate_;
  wanted.certifies_platform = !no_key_certificate_ && !no_platform_certificate_;
  wanted.locks_areas = !no_lock_;
  Result<SecretBytes> state = manufacture_tpm(wanted);
  if (!state) {
    return state.error();
  }
  const Result<TpmIdentity> identity = read_tpm_identity(state->get());
  if (!identity) {
    return identity.error();
  }
  if (const Status complete = check_identity(*identity, wanted); !complete) {
    return complete;
  }
  metadata.merge(identity_metadata(*identity, prefix_of(permanent)));
  permanent.spec.size_max_bytes =
      std::max<std::uint64_t>(permanent.spec.size_max_bytes, state->get().size());
  permanent.content = state->release();
  return {};
}

Status ManufactureOptions::fill(CreateOptions& options) const {
  if (!wanted_) {
    return {};
  }
  keep_memory_private();
  for (NewBlob& blob : options.blobs) {
    if (is_new_tpm(blob)) {
      if (Status filled = fill_one(blob, options.metadata); !filled) {
        return filled;
      }
    }
  }
  return {};
}

} // namespace vnvram::cli
