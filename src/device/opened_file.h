// A regular file or block device that was opened, and what it was opened as.
#pragma once

#include <cstdint>
#include <string>

#include "base/unique_fd.h"
#include "vnvram/open_device.h"
#include "vnvram/result.h"

namespace vnvram {

struct OpenedFile {
  UniqueFd fd;
  bool block_special = false;
};

/// A block device that is opened for writing is opened exclusively: no mount, no second one.
/// Errors: absent; in_use (a block device that is mounted or in use); unsupported (neither of the
/// two kinds); read_only; io (also: no right to it).
Result<OpenedFile> open_file(const std::string& path, Access access);

/// Its size now. Errors: io.
Result<std::uint64_t> measure(const OpenedFile& file, const std::string& path);

/// What an error number says.
[[nodiscard]] std::string error_reason(int error);

} // namespace vnvram
