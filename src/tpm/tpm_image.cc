#include "tpm/tpm_image.h"

#include <algorithm>
#include <array>
#include <utility>

#include "vnvram/open_device.h"

namespace vnvram {
namespace {

// The TPM's blobs take less than half of it, and the shadow holds them all anyway.
constexpr std::uint64_t cache_size_bytes = std::uint64_t{1} << 20U;

std::string option_of(TpmVersion version) {
  return version == TpmVersion::tpm2_0 ? "--tpm2" : "--tpm12";
}

std::size_t count_blobs(const Store& store, TpmVersion version) {
  std::size_t count = 0;
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    const auto name = tpm_blob_name(version, static_cast<TpmState>(state));
    count += store.blob(name).ok() ? 1U : 0U;
  }
  return count;
}

Result<TpmVersion> choose_version(const Store& store, const std::string& path,
                                  std::optional<TpmVersion> wanted) {
  const std::size_t tpm2_count = count_blobs(store, TpmVersion::tpm2_0);
  const std::size_t tpm12_count = count_blobs(store, TpmVersion::tpm1_2);
  if (!wanted && tpm2_count > 0 && tpm12_count > 0) {
    return Error(ErrorKind::invalid_argument, path + " has the blobs of a TPM 2.0 and of a TPM 1.2",
                 "say which one to run: --tpm2 or --tpm12");
  }
  const TpmVersion version =
      wanted.value_or(tpm12_count > 0 ? TpmVersion::tpm1_2 : TpmVersion::tpm2_0);
  const std::size_t count = version == TpmVersion::tpm2_0 ? tpm2_count : tpm12_count;
  if (count == tpm_state_count) {
    return version;
  }
  const std::string option = option_of(version);
  return Error(ErrorKind::not_found,
               path + (count == 0 ? " has no TPM blobs" : " has only some of the TPM's blobs"),
               "`vnvram register " + path + " " + option + "` adds them, `vnvram create " + path +
                   " " + option + "` makes a new image");
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

Status load_blobs(TpmImage& image, const std::string& path) {
  for (BlobSpec& spec : image.specs) {
    const Result<BlobInfo> info = image.store->blob(spec.name);
    if (!info.ok()) {
      return info.error();
    }
    spec.size_max_bytes = info->size_max_bytes;
    Result<std::vector<std::byte>> content = image.store->read(spec.name);
    if (!content.ok()) {
      return content.error();
    }
    const bool is_permanent = spec.name == tpm_blob_name(image.version, TpmState::permanent);
    if (is_permanent && info->generation == 0) {
      image.manufacture = Manufacture::allowed;
    } else if (is_permanent && content->empty()) {
      return Error(ErrorKind::corrupt,
                   path + ": blob " + spec.name + " was written once and is empty now",
                   "restore the image from a backup; for a new TPM `vnvram rm` its blobs and "
                   "`vnvram register` them again");
    }
    image.contents.push_back(std::move(*content));
  }
  return {};
}

} // namespace

Result<TpmImage> open_tpm_image(const std::string& path, std::optional<TpmVersion> version,
                                bool accept_sealed, const DeviceOptions& device_options,
                                const Log& log) {
  auto device = open_device(path, Access::read_write, device_options);
  if (!device.ok()) {
    return device.error();
  }
  return open_tpm_image(std::move(*device), path, version, accept_sealed, log);
}

Result<TpmImage> open_tpm_image(std::unique_ptr<BlockDevice> device, const std::string& path,
                                std::optional<TpmVersion> version, bool accept_sealed,
                                const Log& log) {
  OpenOptions options;
  options.cache_size_bytes = cache_size_bytes;
  options.accept_sealed = accept_sealed;
  const auto trouble = std::make_shared<ImageTrouble>();
  options.failed_in_background = [&log, trouble](const Error& error) {
    log.error(error.text());
    trouble->note(error.text());
  };
  auto store = Store::open(std::move(device), std::move(options));
  if (!store.ok()) {
    return store.error();
  }
  TpmImage image;
  image.trouble = trouble;
  image.store = std::move(*store);
  const Result<TpmVersion> chosen = choose_version(*image.store, path, version);
  if (!chosen.ok()) {
    return chosen.error();
  }
  image.version = *chosen;
  image.specs = tpm_blob_specs(image.version);
  if (!image.store->info().sealed) {
    if (Status registered = image.store->register_blobs(image.specs); !registered.ok()) {
      return no_room(path, registered.error());
    }
  }
  if (Status loaded = load_blobs(image, path); !loaded.ok()) {
    return loaded.error();
  }
  return image;
}

} // namespace vnvram
