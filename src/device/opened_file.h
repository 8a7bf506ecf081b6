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

/// Whether "fd:N" names an open descriptor; success for all other locations. To be asked before
/// this process opens any of its own. Errors: absent.
Status check_descriptor(const std::string& location);

/// What "fd:N" names, without a look at any path: the process may have no right to open it. Where
/// it has that right the file is opened once more, so that its locks are this opener's own; else
/// they are those of all who have the descriptor. Errors: absent (there is no such descriptor);
/// unsupported (neither of the two kinds, or opened in a way that cannot be used); read_only; io.
Result<OpenedFile> open_descriptor(const std::string& location, Access access);

/// Its size now. Errors: io.
Result<std::uint64_t> measure(const OpenedFile& file, const std::string& path);

/// What an error number says.
[[nodiscard]] std::string error_reason(int error);

} // namespace vnvram
