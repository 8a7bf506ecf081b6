#include "swtpm/program_host.h"

#include "tpm/ask_worker.h"

namespace vnvram {

Status ProgramHost::open(Purpose /*purpose*/) {
  return ask_worker(worker_, [this] { return storage_.attach_at_place(); });
}

Status ProgramHost::settle() {
  return ask_worker(worker_, [this] { return storage_.settle(); });
}

void ProgramHost::state_was_fetched() {
  if (!rules_.releases_image) {
    return;
  }
  [[maybe_unused]] const Status released = ask_worker(worker_, [this] {
    const Status committed = storage_.settle();
    return committed.ok() ? storage_.detach(false) : committed;
  });
}

void ProgramHost::client_was_lost() {
  if (rules_.ends_with_client) {
    end_.ask("the control channel was closed");
  }
}

} // namespace vnvram
