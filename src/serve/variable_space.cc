#include "serve/variable_space.h"

#include <utility>

#include "uefi/variable_store_template.h"
#include "uefi/variable_usage.h"

namespace vnvram {

bool has_variables(const BlobInfo& blob) {
  return blob.type == uefi_variables_type;
}

std::optional<VariableSpace> variable_space(Store& store, const BlobInfo& blob) {
  const auto read = [&](std::uint64_t offset_bytes, std::span<std::byte> buffer) {
    return store.read_range(blob.name, offset_bytes, buffer).ok();
  };
  const std::optional<VariableUsage> usage = variable_usage(read, blob.size_bytes);
  if (!usage) {
    return std::nullopt;
  }
  return VariableSpace{
      .blob = blob.name, .size_bytes = usage->size_bytes, .used_bytes = usage->used_bytes};
}

std::vector<VariableSpace> variable_spaces(Store& store, const std::vector<BlobInfo>& blobs) {
  std::vector<VariableSpace> spaces;
  for (const BlobInfo& blob : blobs) {
    if (!has_variables(blob)) {
      continue;
    }
    if (std::optional<VariableSpace> space = variable_space(store, blob); space) {
      spaces.push_back(*std::move(space));
    }
  }
  return spaces;
}

} // namespace vnvram
