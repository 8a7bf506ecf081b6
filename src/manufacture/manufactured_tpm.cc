#include "manufacture/manufactured_tpm.h"

#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "base/file_error.h"
#include "manufacture/authority_owner.h"
#include "manufacture/setup_run.h"
#include "soft_tpm/tpm_blobs.h"
#include "vnvram/key.h"
#include "vnvram/key_ring.h"
#include "vnvram/open_device.h"
#include "vnvram/store.h"

namespace vnvram {
namespace {

std::vector<std::string> words_of(const ManufactureOrder& options) {
  std::vector<std::string> words = {"--createek"};
  const auto add = [&](bool wanted, const char* word) {
    if (wanted) {
      words.emplace_back(word);
    }
  };
  const auto add_value = [&](const char* word, const std::string& value) {
    if (!value.empty()) {
      words.insert(words.end(), {word, value});
    }
  };
  add(options.certifies_key, "--create-ek-cert");
  add(options.certifies_platform, "--create-platform-cert");
  add(options.locks_areas, "--lock-nvram");
  add(options.makes_storage_key, "--create-spk");
  add(options.storage_key_is_ecc, "--ecc");
  add(options.allows_signing, "--allow-signing");
  add(options.allows_decryption, "--decryption");
  add_value("--config", options.config);
  add_value("--vmid", options.machine);
  add_value("--pcr-banks", options.pcr_banks);
  add_value("--rsa-keysize", options.rsa_key_size);
  return words;
}

Result<SecretBytes> state_in(const SetupRun& run) {
  Result<KeySource> key = KeySource::of_key(run.key().get(), "the key of what is being made");
  if (!key) {
    return key.error();
  }
  const Result<UniqueFd> image = run.open_image();
  if (!image) {
    return image.error();
  }
  auto device =
      open_device("fd:" + std::to_string(image->get()), Access::read_only, {.image_format = "raw"});
  if (!device) {
    return device.error();
  }
  KeyRing keys;
  keys.add(*std::move(key));
  const auto store = Store::open(std::move(*device),
                                 {.access = Access::read_only, .background = false, .keys = keys});
  if (!store) {
    return store.error();
  }
  auto state = (*store)->read(tpm_blob_name(TpmVersion::tpm2_0, TpmState::permanent));
  return state ? Result<SecretBytes>(SecretBytes(*std::move(state))) : state.error();
}

} // namespace

Result<SecretBytes> manufacture_tpm(const ManufactureOrder& options) {
  if (!options.config.empty() && ::access(options.config.c_str(), R_OK) != 0) {
    return change_error(options.config, "cannot read it", errno);
  }
  const Result<SetupRun> run = SetupRun::make(authority_owner(options.config));
  if (!run) {
    return run.error();
  }
  if (const Status done = run->run(options.tpm_program, words_of(options)); !done) {
    return done.error();
  }
  return state_in(*run);
}

} // namespace vnvram
