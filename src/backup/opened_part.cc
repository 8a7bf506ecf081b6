#include "backup/opened_part.h"

#include <fmt/core.h>

namespace vnvram {
namespace {

Result<std::unique_ptr<Store>> open(const std::string& location, const DeviceOptions& device,
                                    OpenOptions options) {
  Result<std::unique_ptr<BlockDevice>> opened = open_device(location, options.access, device);
  return opened ? Store::open(*std::move(opened), std::move(options)) : opened.error();
}

/// Whatever one must know to use its blobs.
Result<std::unique_ptr<Store>> open_knowing_all(const std::string& location,
                                                const DeviceOptions& device, OpenOptions options) {
  Result<std::unique_ptr<Store>> store = open(location, device, options);
  if (!store) {
    return store;
  }
  for (const BlobInfo& blob : (*store)->blobs()) {
    for (const Attribute& attribute : blob.attributes) {
      if (attribute.must_know) {
        options.known_attributes.insert(attribute.name);
      }
    }
  }
  if (options.known_attributes.empty()) {
    return store;
  }
  *store = nullptr;
  return open(location, device, options);
}

} // namespace

Result<std::unique_ptr<Store>> open_to_copy(const std::string& location,
                                            const DeviceOptions& device, const KeyRing& keys) {
  return open_knowing_all(location, device,
                          {.access = Access::read_only, .background = false, .keys = keys});
}

Result<std::unique_ptr<Store>> open_to_move(const std::string& location,
                                            const DeviceOptions& device, const KeyRing& keys) {
  return open_knowing_all(location, device,
                          {.background = false, .keys = keys, .accept_sealed = true});
}

Result<bool> is_manifest(const std::string& who, const BlobInfo& blob) {
  if (blob.name != manifest_blob_name) {
    return false;
  }
  if (blob.type != manifest_blob_type) {
    return Error(ErrorKind::type_mismatch,
                 fmt::format("{}: blob {} has the name of what exports say of themselves", who,
                             manifest_blob_name),
                 "give it another name");
  }
  return true;
}

Result<ExportManifest> read_manifest(const std::string& location, Store& store) {
  const Result<BlobInfo> blob = store.blob(manifest_blob_name);
  const Result<bool> is = blob ? is_manifest(location, *blob) : false;
  if (!is || !*is) {
    return !is ? is.error()
               : Error(ErrorKind::invalid_argument, location + ": not an export",
                       "name what `export` has made");
  }
  const Result<std::vector<std::byte>> text = store.read(manifest_blob_name);
  return text ? parse_manifest(location, *text) : text.error();
}

} // namespace vnvram
