// What another thread asks TpmWorker's to do, and waits for.
#pragma once

#include <functional>
#include <future>

#include "tpm/tpm_worker.h"
#include "vnvram/result.h"

namespace vnvram {

/// Runs it soon, between two commands: the worker is the only one that waits for the device. It
/// answers even at its end. Not from its own thread.
inline Status ask_worker(TpmWorker& worker, const std::function<Status()>& job) {
  std::promise<Status> done;
  std::future<Status> result = done.get_future();
  worker.run_soon([&] { done.set_value(job()); });
  return result.get();
}

} // namespace vnvram
