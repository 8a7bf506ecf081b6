#include "backup/image_copy.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include <sys/stat.h>

#include <fmt/core.h>

#include "provision/new_file.h"
#include "vnvram/public_metadata.h"

namespace vnvram {
namespace {

using Content = std::optional<std::vector<std::byte>>;

CreateOptions options_for(Store& source, const CopyTarget& target) {
  CreateOptions options;
  options.force = target.force;
  options.device = target.device;
  options.key_slots = target.key_slots;
  options.progress = target.progress;
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

Status copy_metadata(Store& source, const std::string& path, const DeviceOptions& device) {
  const Result<PublicMetadata> metadata = read_public_metadata(source.device());
  if (!metadata || metadata->empty()) {
    return metadata ? Status{} : Status(metadata.error());
  }
  const auto made = open_device(path, Access::read_write, device);
  if (!made) {
    return made.error();
  }
  for (const auto& [name, value] : *metadata) {
    if (Status set = set_public_metadata(**made, name, value); !set) {
      return set;
    }
  }
  return {};
}

Status make_at(Store& source, const std::string& path, const CreateOptions& options) {
  const Result<std::uint64_t> size_bytes = size_for(source, options);
  if (!size_bytes) {
    return size_bytes.error();
  }
  const Status made = create_image_file(path, *size_bytes, options);
  return made ? copy_metadata(source, path, options.device) : made;
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
Status take_the_place(Store& source, const std::string& path, CreateOptions options) {
  struct stat old {};
  const Result<std::string> name = only_name_of(path, old);
  if (!name) {
    return name.error();
  }
  bool forbidden = false;
  Result<NewFile> file = NewFile::make(*name, forbidden);
  if (!file) {
    return file.error();
  }
  Status done = file->take_over_rights(old, *name, forbidden);
  options.force = true; // Of the empty one.
  done = done ? make_at(source, file->path(), options) : done;
  return done ? file->rename_to(*name, forbidden) : done;
}

} // namespace

Status copy_image(Store& source, const std::string& source_path, const CopyTarget& target) {
  const CreateOptions options = options_for(source, target);
  std::error_code absent; // Then they are not the same.
  return target.path == source_path || std::filesystem::equivalent(target.path, source_path, absent)
             ? take_the_place(source, source_path, options)
             : make_at(source, target.path, options);
}

} // namespace vnvram
