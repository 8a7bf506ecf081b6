// The channels of a vnvram-swtpm: what --ctrl, --server and --fd say.
#pragma once

#include <optional>

#include "service/listener.h"
#include "swtpm/swtpm_options.h"
#include "swtpm/unblocked_device.h"
#include "tpm/control_server.h"
#include "tpm/tpm_worker.h"
#include "vnvram/result.h"

namespace vnvram {

class ProgramSockets {
public:
  /// Makes those that are to be made. Errors: in_use, exists (there is a file of that name that is
  /// no socket), unsupported (a kind that is not served), io.
  static Result<ProgramSockets> open(const SwtpmOptions& options);

  /// Both serve them from now on, and end before this object. Errors: io.
  Status serve(ControlServer& server, TpmWorker& worker);

private:
  ProgramSockets() = default;

  std::optional<Listener> control_;
  std::optional<Listener> data_;
  UniqueFd control_client_; ///< One that is there already.
  UniqueFd data_client_;
  std::optional<UnblockedDevice> data_device_;
  bool one_command_each_ = false;
};

} // namespace vnvram
