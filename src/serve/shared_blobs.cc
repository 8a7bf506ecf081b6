#include "serve/shared_blobs.h"

#include <string_view>

#include "uefi/variable_store_template.h"

namespace vnvram {
namespace {

// What tpm_blob_type() begins with.
constexpr std::string_view tpm_types = "libtpms.";

} // namespace

bool is_tpm_type(const std::string& type) {
  return type.starts_with(tpm_types);
}

Status check_shared_blob(const std::string& location, const std::string& name,
                         const std::string& type) {
  if (is_tpm_type(type) || type == uefi_variables_type) {
    return {};
  }
  return Error(ErrorKind::unsupported,
               location + ": blob " + name + " of type " + type +
                   " on an image that is served with --shared: QEMU's stream may not carry it, and "
                   "the destination's device would write what it has read too early over it",
               "an image of each host's own, without --shared; or `rm` the blob, if no device of "
               "the machine uses it");
}

Status check_shared_blobs(const std::string& location, const std::vector<BlobInfo>& blobs) {
  for (const BlobInfo& blob : blobs) {
    if (Status may = check_shared_blob(location, blob.name, blob.type); !may) {
      return may;
    }
  }
  return {};
}

} // namespace vnvram
