// Formatting (invariant 6): create_image and resize_image of vnvram/store.h, and the questions
// before it, none of which writes anything.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "provision/new_file.h"
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

/// What makes an image on a device that is there for it; create_image() unless something else is
/// said.
using MakeImage = std::function<Status(BlockDevice& device, const CreateOptions& options)>;

/// Under the device's lock, and only if it is blank or `force` says that it may be written over.
/// Errors: read_only, in_use; exists; those of `make`.
Status make_on_free_device(BlockDevice& device, bool force, const std::function<Status()>& make);

/// Asked when a new file is complete, and before it has its name: whose it is to be; nothing: it
/// stays this user's.
using RightsWhenMade = std::function<Result<std::optional<FileRights>>()>;

/// create_image_file(), with what is made there in other hands. Of the options it takes force,
/// device and, unless there is a size, blobs. A file whose place it takes has given it its rights.
Status make_image_file(const std::string& path, std::uint64_t size_bytes,
                       const CreateOptions& options, const MakeImage& make,
                       const RightsWhenMade& rights = {});

/// What create_image_file() would refuse, as far as it can be known: for who does something in
/// between that is not to be done for nothing.
Status check_image_file(const std::string& path, std::uint64_t size_bytes,
                        const CreateOptions& options);

} // namespace vnvram
