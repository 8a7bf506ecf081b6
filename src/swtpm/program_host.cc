#include "swtpm/program_host.h"

#include "tpm/ask_worker.h"

namespace vnvram {

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

Status ProgramHost::open(Purpose /*purpose*/) {
  return ask_worker(worker_, [this] { return storage_.attach_at_place(); });
}

Status ProgramHost::settle() {
  return ask_worker(worker_, [this] { return settled(); });
}

void ProgramHost::state_was_fetched() {
  if (!rules_.releases_image) {
    return;
  }
  [[maybe_unused]] const Status released = ask_worker(worker_, [this] {
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
