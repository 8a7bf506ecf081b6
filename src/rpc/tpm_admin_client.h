// Asks a TPM, through its admin socket, what tpm_admin.capnp offers.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vnvram/result.h"

namespace vnvram {

enum class TpmAdminCall { status, hold, resume, detach, attach, unseal };

/// As TpmStatus in the schema.
struct TpmAdminStatus {
  std::string location;
  bool attached = false;
  bool held = false;
  std::string custody; ///< "ours", "handed-over" or "gone"
  bool content_may_change = false;
  bool uncommitted = false;
  bool failed = false;
  std::uint64_t generation = 0;
  std::vector<std::byte> image_uuid;
  std::string tpm_version;
  std::string image_error;
};

/// One call on a connection of its own, with a deadline of 60 s (5 s for the first sign of a TPM).
/// `location` is for attach. Errors: what the TPM answers; absent (nobody listens there), io.
Result<TpmAdminStatus> call_tpm_admin(const std::string& socket_path, TpmAdminCall call,
                                      const std::string& location = {});

} // namespace vnvram
