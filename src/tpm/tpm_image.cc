#include "tpm/tpm_image.h"

#include <utility>

namespace vnvram {
namespace {

// Of `vnvram create` and `register`.
std::string option_of(TpmVersion version, const std::string& prefix) {
  const std::string option = version == TpmVersion::tpm2_0 ? "--tpm2" : "--tpm12";
  return prefix.empty() ? option : option + "=" + prefix;
}

std::string blob_name(TpmVersion version, const std::string& prefix, TpmState state) {
  return prefix + std::string(tpm_blob_name(version, state));
}

std::size_t count_blobs(BlobClient& client, TpmVersion version, const std::string& prefix) {
  std::size_t count = 0;
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    const auto name = blob_name(version, prefix, static_cast<TpmState>(state));
    count += client.blob(name).ok() ? 1U : 0U;
  }
  return count;
}

// An image that was large enough once: a newer libtpms may ask for more.
Error no_room(const std::string& path, const Error& error) {
  if (error.kind() != ErrorKind::no_space) {
    return error;
  }
  return {error.kind(),
          path + ": " + libtpms_producer() +
              " asks for larger TPM blobs than the image has: " + error.cause(),
          "make it larger: vnvram resize " + path + " SIZE"};
}

// What is read afterwards is changed by nobody else.
Status claim_blobs(BlobClient& client, const std::vector<BlobSpec>& specs) {
  std::vector<std::string> names;
  names.reserve(specs.size());
  for (const BlobSpec& spec : specs) {
    names.push_back(spec.name);
  }
  return client.claim(names);
}

Status load_blobs(BlobClient& client, TpmImage& image, const std::string& path) {
  for (BlobSpec& spec : image.specs) {
    const Result<BlobInfo> info = client.blob(spec.name);
    if (!info.ok()) {
      return info.error();
    }
    spec.size_max_bytes = info->size_max_bytes;
    Result<std::vector<std::byte>> content = client.read_all(spec.name);
    if (!content.ok()) {
      return content.error();
    }
    const bool is_permanent = &spec == &image.specs.front();
    if (is_permanent && info->generation == 0) {
      image.manufacture = Manufacture::allowed;
    } else if (is_permanent && content->empty()) {
      return Error(ErrorKind::corrupt,
                   path + ": blob " + spec.name + " was written once and is empty now",
                   "restore the image from a backup; for a new TPM `vnvram rm` its blobs and "
                   "`vnvram register` them again");
    }
    image.contents.push_back(std::move(*content));
    image.generations.push_back(info->generation);
  }
  return {};
}

} // namespace

Result<TpmVersion> find_tpm_version(BlobClient& client, const std::string& path,
                                    const WantedTpm& wanted) {
  const std::string& prefix = wanted.blobs_prefix;
  const std::size_t tpm2_count = count_blobs(client, TpmVersion::tpm2_0, prefix);
  const std::size_t tpm12_count = count_blobs(client, TpmVersion::tpm1_2, prefix);
  if (!wanted.version && tpm2_count > 0 && tpm12_count > 0) {
    return Error(ErrorKind::invalid_argument, path + " has the blobs of a TPM 2.0 and of a TPM 1.2",
                 "say which one to run: --tpm2 or --tpm12");
  }
  const TpmVersion version =
      wanted.version.value_or(tpm12_count > 0 ? TpmVersion::tpm1_2 : TpmVersion::tpm2_0);
  const std::size_t count = version == TpmVersion::tpm2_0 ? tpm2_count : tpm12_count;
  if (count == tpm_state_count) {
    return version;
  }
  const std::string option = option_of(version, prefix);
  const std::string which = prefix.empty() ? "" : " whose names begin with " + prefix;
  return Error(ErrorKind::not_found,
               path + (count == 0 ? " has no TPM blobs" : " has only some of the TPM's blobs") +
                   which,
               "vnvram register " + path + " " + option + " adds them; vnvram create " + path +
                   " " + option + " makes a new image");
}

Result<TpmImage> read_tpm_image(BlobClient& client, const std::string& path,
                                const WantedTpm& wanted) {
  const Result<ImageState> found = client.state();
  if (!found.ok()) {
    return found.error();
  }
  const Result<TpmVersion> chosen = find_tpm_version(client, path, wanted);
  if (!chosen.ok()) {
    return chosen.error();
  }
  TpmImage image;
  image.version = *chosen;
  image.specs = tpm_blob_specs(image.version, wanted.blobs_prefix);
  if (Status claimed = claim_blobs(client, image.specs); !claimed.ok()) {
    return claimed.error();
  }
  if (!found->sealed) {
    if (Status registered = client.register_blobs(image.specs); !registered.ok()) {
      return no_room(path, registered.error());
    }
  }
  if (Status loaded = load_blobs(client, image, path); !loaded.ok()) {
    return loaded.error();
  }
  const Result<ImageState> state = client.state();
  if (!state.ok()) {
    return state.error();
  }
  image.state = *state;
  return image;
}

} // namespace vnvram
