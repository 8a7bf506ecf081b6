// Formatting (invariant 6): create_image and resize_image of vnvram/store.h, and the questions
// before it, none of which writes anything.
#pragma once

#include <cstdint>
#include <string>

#include "vnvram/block_device.h"
#include "vnvram/result.h"
#include "vnvram/store.h"

namespace vnvram {

/// Success for a blank device; exists for one that holds an image or anything else. Writes nothing.
Status check_creatable(BlockDevice& device);

/// Whether what an image is to begin with can be in one. Errors: too_large, invalid_argument,
/// no_space (public metadata).
Status check_contents(const CreateOptions& options);
/// Whether a device of this size has room for it. Errors: no_space, invalid_argument.
Status check_room(const std::string& device_name, std::uint64_t device_size_bytes,
                  const CreateOptions& options);

/// What create_image_file() would refuse, as far as it can be known: for who does something in
/// between that is not to be done for nothing.
Status check_image_file(const std::string& path, std::uint64_t size_bytes,
                        const CreateOptions& options);

} // namespace vnvram
