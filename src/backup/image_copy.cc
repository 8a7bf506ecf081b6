#include "backup/image_copy.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include <sys/stat.h>

#include <fmt/core.h>

#include "device/image_format.h"
#include "provision/new_file.h"
#include "provision/new_image_file.h"
#include "vnvram/public_metadata.h"

namespace vnvram {
namespace {

using Content = std::optional<std::vector<std::byte>>;

CreateOptions blobs_of(Store& source) {
  CreateOptions options;
  options.sealed = source.info().sealed;
  for (const BlobInfo& blob : source.blobs()) {
    options.blobs.push_back({.spec = {.name = blob.name,
                                      .type = blob.type,
                                      .size_max_bytes = blob.size_max_bytes,
                                      .producer = blob.producer,
                                      .attributes = blob.attributes},
                             .content = std::nullopt});
  }
  options.content_of = [&source](const BlobSpec& spec) -> Result<Content> {
    const Result<BlobInfo> blob = source.blob(spec.name);
    if (!blob || blob->generation == 0) { // Never written.
      return blob ? Result<Content>(Content()) : blob.error();
    }
    Result<std::vector<std::byte>> bytes = source.read(spec.name);
    return bytes ? Result<Content>(Content(*std::move(bytes))) : bytes.error();
  };
  return options;
}

// As large as it was, at least: what was to be registered there later is to be here.
Result<std::uint64_t> size_for(const Store& source, const CreateOptions& options) {
  std::vector<BlobSpec> specs;
  for (const NewBlob& blob : options.blobs) {
    specs.push_back(blob.spec);
  }
  const Result<std::uint64_t> needed = recommended_size_bytes(specs, 0, options.encrypts());
  return needed ? Result<std::uint64_t>(std::max(*needed, source.info().image_size_bytes)) : needed;
}

// With the public metadata that the source has.
Result<CreateOptions> options_for(Store& source, const CopyTarget& target) {
  CreateOptions options = blobs_of(source);
  options.force = target.force;
  options.device = target.device;
  options.key_slots = target.key_slots;
  options.progress = target.progress;
  Result<PublicMetadata> metadata = read_public_metadata(source.device());
  if (!metadata) {
    return metadata.error();
  }
  options.metadata = *std::move(metadata);
  return options;
}

// The file itself, and not a link to it; and its only name: another one would still lead to what
// was there.
Result<std::string> only_name_of(const std::string& path, struct stat& old) {
  std::error_code failed;
  const std::string name = std::filesystem::canonical(path, failed).string();
  if (failed || ::stat(name.c_str(), &old) != 0 || !S_ISREG(old.st_mode)) {
    return Error(ErrorKind::unsupported,
                 fmt::format("{}: only a file can be put in another one's place", path),
                 "name another place for what is made");
  }
  if (old.st_nlink > 1) {
    return Error(
        ErrorKind::unsupported,
        fmt::format("{}: it has another name, by which what is there now would stay", path),
        "name another place for what is made, and remove both names");
  }
  return name;
}

// The lock stays on what was there until nobody finds it by its name.
Status take_the_place(const std::string& path, std::uint64_t size_bytes,
                      const CreateOptions& options) {
  struct stat old {};
  const Result<std::string> name = only_name_of(path, old);
  if (!name) {
    return name.error();
  }
  const Result<ImageFormat> format = choose_format(*name, ImageFormat::raw, options);
  if (!format) {
    return format.error();
  }
  bool forbidden = false;
  return create_new_image_file({.target = *name,
                                .format = *format,
                                .rights = FileRights::of(old),
                                .replaces = true,
                                .size_bytes = size_bytes},
                               options, forbidden);
}

} // namespace

Status copy_image(Store& source, const std::string& source_path, const CopyTarget& target) {
  const Result<CreateOptions> options = options_for(source, target);
  const Result<std::uint64_t> size_bytes =
      options ? size_for(source, *options) : Result<std::uint64_t>(options.error());
  if (!size_bytes) {
    return size_bytes.error();
  }
  std::error_code absent; // Then they are not the same.
  return target.path == source_path || std::filesystem::equivalent(target.path, source_path, absent)
             ? take_the_place(source_path, *size_bytes, *options)
             : create_image_file(target.path, *size_bytes, *options);
}

} // namespace vnvram
