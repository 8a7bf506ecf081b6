// From what a user names to a BlockDevice.
#pragma once

#include <memory>
#include <string>

#include "vnvram/block_device.h"
#include "vnvram/export.h"
#include "vnvram/result.h"

namespace vnvram {

enum class Access { read_only, read_write };

/// Opens a regular file, a host block device, or an NBD export (nbd://HOST[:PORT]/EXPORT,
/// nbd+unix:///EXPORT?socket=PATH; nbds: with TLS). Creates nothing and changes nothing.
/// Errors: absent; in_use for a block device that something else on this host holds (a mount,
/// another exclusive opener); io with the system's reason; unsupported for what is neither file nor
/// block device (a folder, a pipe), and an NBD server that lacks what an image needs; read_only for
/// writing to a block device or an export that is set read-only.
VNVRAM_API Result<std::unique_ptr<BlockDevice>> open_device(const std::string& location,
                                                            Access access);

} // namespace vnvram
