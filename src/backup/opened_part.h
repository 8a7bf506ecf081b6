// An image that is opened to be copied, by a program that does not ask what its blobs mean.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backup/export_manifest.h"
#include "vnvram/open_device.h"
#include "vnvram/store.h"

namespace vnvram {

/// For reading. It may read every blob, whatever one must know to use it: attributes go along.
/// Errors: those of open_device() and Store::open().
Result<std::unique_ptr<Store>> open_to_copy(const std::string& location,
                                            const DeviceOptions& device, const KeyRing& keys);

/// The same for writing, so that nobody else does; one that is sealed stays so. Errors also:
/// in_use, read_only.
Result<std::unique_ptr<Store>> open_to_move(const std::string& location,
                                            const DeviceOptions& device, const KeyRing& keys);

/// What an export says of itself. Errors: invalid_argument (it is none), corrupt (it is not what it
/// says), and those of reading.
Result<ExportManifest> read_manifest(const std::string& location, Store& store);

/// Whether the blob is an export's manifest. Errors: type_mismatch (it has only its name).
Result<bool> is_manifest(const std::string& who, const BlobInfo& blob);

} // namespace vnvram
