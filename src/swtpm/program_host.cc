#include "swtpm/program_host.h"

#include <future>

namespace vnvram {

// The worker is the only one that waits for the device; it answers even at its end.
Status ProgramHost::on_worker(const std::function<Status()>& job) {
  std::promise<Status> done;
  std::future<Status> result = done.get_future();
  worker_.run_soon([&] { done.set_value(job()); });
  return result.get();
}

// What has changed while the image is away belongs on it, too.
Status ProgramHost::settled() {
  const TpmStorageStatus before = storage_.status();
  if (before.uncommitted && !before.attached) {
    if (Status attached = storage_.attach_at_place(); !attached.ok()) {
      return attached;
    }
  }
  storage_.commit_without_command();
  const TpmStorageStatus status = storage_.status();
  return status.failed ? Error(ErrorKind::poisoned, status.image_error) : Status();
}

Status ProgramHost::open() {
  return on_worker([this] { return storage_.attach_at_place(); });
}

Status ProgramHost::settle() {
  return on_worker([this] { return settled(); });
}

void ProgramHost::state_was_fetched() {
  if (!rules_.releases_image) {
    return;
  }
  [[maybe_unused]] const Status released = on_worker([this] {
    const Status committed = settled();
    return committed.ok() ? storage_.detach(false) : committed;
  });
}

void ProgramHost::client_was_lost() {
  if (rules_.ends_with_client) {
    end_.ask("the control channel was closed");
  }
}

} // namespace vnvram
