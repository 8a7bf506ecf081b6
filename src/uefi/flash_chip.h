// How large the flash chip is whose first bytes are a blob.
#pragma once

#include <cstdint>
#include <string_view>

#include "vnvram/blob.h"

namespace vnvram {

/// The attribute of a blob that says it, in decimal digits. Without it the chip is as large as the
/// blob.
inline constexpr std::string_view chip_size_attribute_name = "flash.chip_size_bytes";
/// The largest flash of QEMU's machines.
inline constexpr std::uint64_t chip_size_max_bytes = std::uint64_t{256} << 20U;

/// Whether a chip may have this size: what QEMU takes for a flash, and not more than the largest.
[[nodiscard]] bool is_chip_size(std::uint64_t size_bytes);

[[nodiscard]] Attribute chip_size_attribute(std::uint64_t size_bytes);

/// The size of the chip that a blob is the beginning of: never less than the blob's largest size.
/// An attribute that says nothing sensible is ignored, as readers may.
[[nodiscard]] std::uint64_t chip_size_bytes(const BlobInfo& blob);

} // namespace vnvram
