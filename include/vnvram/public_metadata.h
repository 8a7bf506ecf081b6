// What an image says to everybody: names and values that need no key, encrypted or not.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "vnvram/block_device.h"
#include "vnvram/export.h"
#include "vnvram/result.h"

namespace vnvram {

inline constexpr std::size_t public_name_max_bytes = 63;
inline constexpr std::size_t public_value_max_bytes = 4096;

/// Names, of the alphabet of blob names, and values, of any bytes. Whoever can write to the device
/// can change them: nothing in them is secret, and nothing proves them.
using PublicMetadata = std::map<std::string, std::string>;

// As with key slots (key.h), the image is not open for writing anywhere when it is changed. Errors
// of all: absent, blank, foreign, too_new, io, corrupt; of those that write: in_use, read_only.

VNVRAM_API Result<PublicMetadata> read_public_metadata(BlockDevice& device);

/// Sets one value, durably: after a cut there is the old or the new. Errors: invalid_argument (the
/// name), too_large (the value), no_space (all of them take more than 16,320 bytes).
VNVRAM_API Status set_public_metadata(BlockDevice& device, std::string_view name,
                                      std::string_view value);
/// The same for who has the device's lock already, as AnchorUse::accept has.
VNVRAM_API Status set_public_metadata_locked(BlockDevice& device, std::string_view name,
                                             std::string_view value);
/// Errors: not_found.
VNVRAM_API Status remove_public_metadata(BlockDevice& device, std::string_view name);
VNVRAM_API Status remove_public_metadata_locked(BlockDevice& device, std::string_view name);

} // namespace vnvram
