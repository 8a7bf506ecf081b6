// How full the UEFI variables of an image are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vnvram/store.h"

namespace vnvram {

struct VariableSpace {
  std::string blob;
  std::uint64_t size_bytes = 0; ///< For variables.
  std::uint64_t used_bytes = 0;
};

/// A blob that firmware keeps variables in; its own size is always the flash's.
[[nodiscard]] bool has_variables(const BlobInfo& blob);
/// Reads the variables' headers. None: there are no variables that firmware would use.
[[nodiscard]] std::optional<VariableSpace> variable_space(Store& store, const BlobInfo& blob);
/// Of all blobs that have some.
[[nodiscard]] std::vector<VariableSpace> variable_spaces(Store& store,
                                                         const std::vector<BlobInfo>& blobs);

} // namespace vnvram
