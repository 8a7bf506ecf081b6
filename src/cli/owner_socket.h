// An IMAGE that is not an image but the control socket of the process that has it open.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "rpc/owner_client.h"
#include "rpc/remote_blob_client.h"

namespace vnvram::cli {

/// unix:PATH, of `vnvram serve --control`.
[[nodiscard]] bool is_owner_socket(const std::string& image);

/// For a client of the caller's. The errors of the next.
Result<UniqueFd> connect_socket(const std::string& image);
/// Ends the connection to an owner that does not answer, as if it had ended: for
/// EndRequest::when_stuck().
[[nodiscard]] std::function<void()> hang_up(const UniqueFd& socket);
/// Its blobs. Errors: absent (nobody listens there), invalid_argument (there is no such path), io.
Result<std::unique_ptr<RemoteBlobClient>> connect_blobs(const std::string& image);
/// Its calls for operators. The same errors.
Result<std::unique_ptr<OwnerClient>> connect_owner(const std::string& image);
/// For who is about to change something: what is to be changed while another host has the image
/// waits, as devices' changes have to, and nobody waits for a command. Error: sealed, too.
Status check_image_is_here(const std::string& image);

} // namespace vnvram::cli
