// The blobs of an image that another process owns.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "client/blob_client.h"
#include "service/sandbox.h"
#include "vnvram/result.h"

namespace vnvram::nbdkit {

/// A session of the owner whose control socket that is (unix:PATH). The plugin `vnvram-owner` has
/// one; in `vnvram` it is unsupported: Cap'n Proto would cost that 1.5 MB in each of its processes.
/// When that owner ends, calls wait so long for the next one. Errors: absent (nobody listens
/// there), io, unsupported.
Result<std::unique_ptr<BlobClient>> connect_to_owner(const std::string& address,
                                                     std::chrono::milliseconds reconnect);

/// Its sessions are passed on by who starts this process again when it ends.
[[nodiscard]] bool is_started_again(const std::string& address);

/// From now on no thread of the process, nbdkit's included, makes a system call that serving the
/// blobs of that address does not need; see confine(). Errors: unsupported.
Status give_up_rights(const std::string& address, Seccomp mode);

} // namespace vnvram::nbdkit
