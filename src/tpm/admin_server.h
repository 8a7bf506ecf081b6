// The operator's socket: tpm_admin.capnp, served.
#pragma once

#include <functional>
#include <thread>

#include "service/connection_limits.h"
#include "service/listener.h"
#include "service/log.h"
#include "soft_tpm/soft_tpm.h"
#include "tpm/tpm_storage.h"
#include "tpm/tpm_worker.h"

namespace vnvram {

/// What touches the device is done by the worker, between two TPM commands; nothing here waits for
/// it but the client that asked.
///
/// Threads: one of its own, from the constructor to the destructor. All that it is given outlives
/// it.
class AdminServer {
public:
  AdminServer(const Listener& listener, SoftTpm& tpm, TpmStorage& storage, TpmWorker& worker,
              ConnectionLimits limits, const Log& log);
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;
  ~AdminServer();

private:
  std::function<void()> stop_;
  std::jthread thread_;
};

} // namespace vnvram
