#include "tpm/shared_image_host.h"

#include <chrono>
#include <thread>

#include "tpm/ask_worker.h"

namespace vnvram {
namespace {

constexpr std::chrono::milliseconds look_period{5};
constexpr std::chrono::seconds looks_for{5};

Status held_back() {
  return Error(ErrorKind::in_use, "the TPM is held, and its image is to stay as it is",
               "vnvram tpm resume");
}

} // namespace

Status SharedImageHost::open(Purpose purpose) {
  switch (purpose) {
  case Purpose::set_state: return {}; // Not before it can be seen what it is a state of.
  case Purpose::go_on: return ask_worker(worker_, [this] { return storage_.take_image_back(); });
  case Purpose::power_on: break;
  }
  const auto deadline = std::chrono::steady_clock::now() + looks_for;
  for (;;) {
    Status opened = ask_worker(worker_, [this] { return storage_.open_to_power_on(); });
    if (opened.ok() || opened.error().kind() != ErrorKind::in_use ||
        std::chrono::steady_clock::now() >= deadline) {
      return opened;
    }
    std::this_thread::sleep_for(look_period);
  }
}

// What is changed under a hold comes behind it. A hold never ends for a job that waits for it: that
// is the worker's own.
Status SharedImageHost::settled() {
  if (!worker_.is_held()) {
    return storage_.settle();
  }
  const TpmStorageStatus status = storage_.status();
  return status.attached && status.image.sealed ? held_back() : Status();
}

Status SharedImageHost::settle() {
  return ask_worker(worker_, [this] { return settled(); });
}

Status SharedImageHost::hand_over(const HandOverNumber& number) {
  return ask_worker(worker_, [this, number] {
    return worker_.is_held() ? held_back() : storage_.hand_over(number);
  });
}

void SharedImageHost::power_on_failed() {
  [[maybe_unused]] const Status left = ask_worker(worker_, [this] {
    storage_.leave_what_is_sealed();
    return Status();
  });
}

} // namespace vnvram
