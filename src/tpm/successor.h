// A vnvram-tpm that goes on with the TPM of another one.
#pragma once

#include <string>

#include "base/unique_fd.h"
#include "service/log.h"
#include "soft_tpm/soft_tpm.h"
#include "tpm/adopted_image.h"
#include "tpm/control_server.h"
#include "tpm/control_service.h"
#include "tpm/custody.h"
#include "tpm/running_tpm.h"
#include "tpm/succession_channel.h"
#include "tpm/tpm_worker.h"
#include "vnvram/result.h"

namespace vnvram {

/// What a Predecessor gives is checked like anything that comes from outside: a guest may have
/// broken into it.
///
/// Threads: the control thread, while the worker has nothing to do.
class Successor {
public:
  /// All outlive it. The TPM was made without contents.
  struct Parts {
    SoftTpm& tpm;
    Custody& custody;
    AdoptedImage& image;
    BlobClient& client;
    ControlService& service;
    ControlServer& server;
    TpmWorker& worker;
    const Log& log;
    std::string blobs_prefix; ///< Of the TPM's blobs (tpm_blob_name).
  };
  Successor(UniqueFd socket, const Parts& parts) : channel_(std::move(socket)), parts_(parts) {}

  /// Takes the TPM, and goes on with its machine when it returns success; else the other one goes
  /// on, and nothing was written. Errors: why.
  Status take();

private:
  Status take_tpm();
  Status adopt(RunningTpm tpm, std::vector<UniqueFd> sockets);
  Status adopt_image(RunningTpm& tpm);
  Status adopt_connections(RunningTpm& tpm, std::vector<UniqueFd> sockets);
  Status wait_for_word();

  SuccessionChannel channel_;
  const Parts parts_;
  std::optional<CommandConnection> machine_; ///< Until it may go on.
};

} // namespace vnvram
