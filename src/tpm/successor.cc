#include "tpm/successor.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "client/blob_client.h"
#include "tpm/tpm_image.h"

namespace vnvram {

Status Successor::take() {
  Status done = channel_.say(SuccessionChannel::Word::ready);
  done = done.ok() ? take_tpm() : done;
  done = done.ok() ? channel_.say(SuccessionChannel::Word::taken) : done;
  done = done.ok() ? wait_for_word() : done;
  if (!done.ok()) {
    return Error(done.error().kind(),
                 "cannot go on with the TPM that runs, which goes on as it was: " +
                     done.error().cause(),
                 done.error().remedy());
  }
  if (machine_) {
    parts_.worker.go_on_with(*std::exchange(machine_, std::nullopt));
  }
  parts_.worker.wake();
  return {};
}

Status Successor::take_tpm() {
  Result<SuccessionChannel::Passed> passed = channel_.take();
  if (!passed.ok()) {
    return passed.error();
  }
  Result<RunningTpm> tpm = read_running_tpm(passed->bytes.get());
  if (!tpm.ok()) {
    return tpm.error();
  }
  return adopt(*std::move(tpm), std::move(passed->sockets));
}

Status Successor::adopt(RunningTpm tpm, std::vector<UniqueFd> sockets) {
  if (tpm.version != parts_.tpm.version() || tpm.socket_count() != sockets.size()) {
    return Error(ErrorKind::invalid_argument,
                 "it is another TPM than the image's, or its sockets have not come with it");
  }
  if (Status adopted = adopt_image(tpm); !adopted.ok()) {
    return adopted;
  }
  return adopt_connections(tpm, std::move(sockets));
}

Status Successor::adopt_image(RunningTpm& tpm) {
  Result<TpmImage> image =
      read_tpm_image(parts_.client, parts_.image.location(),
                     {.version = parts_.tpm.version(), .blobs_prefix = parts_.blobs_prefix});
  if (!image.ok()) {
    return image.error();
  }
  if (image->state.uuid != tpm.image_uuid ||
      !std::ranges::equal(image->generations, tpm.generations)) {
    return Error(ErrorKind::stale, "what its blobs hold has changed under it");
  }
  Status done =
      parts_.tpm.go_on(image->specs, std::exchange(image->contents, {}), std::move(tpm.state));
  done = done.ok() ? parts_.image.start_with(*image) : done;
  if (!done.ok()) {
    return done;
  }
  parts_.custody.go_on(tpm.standing);
  if (!parts_.custody.is_ours()) {
    parts_.image.sealed(false); // This session has not said yet that it hands over.
  }
  return {};
}

Status Successor::adopt_connections(RunningTpm& tpm, std::vector<UniqueFd> sockets) {
  auto socket = sockets.begin();
  parts_.worker.set_locality(CommandSource::vm, tpm.machine_locality);
  if (tpm.machine) {
    Result<CommandConnection> machine =
        parts_.worker.vm_connection_on(std::move(*socket++), *tpm.machine);
    if (!machine.ok()) {
      return machine.error();
    }
    machine_.emplace(*std::move(machine));
  }
  for (RunningTpm::Client& each : tpm.clients) {
    ControlClient client;
    client.number = each.number;
    client.blob_type = each.blob_type;
    client.blob = each.blob.release();
    if (Status fits =
            parts_.server.go_on_with(std::move(*socket++), std::move(client), std::move(each.rest));
        !fits.ok()) {
      return fits;
    }
  }
  parts_.server.set_next_client_number(tpm.next_client);
  parts_.service.go_on(tpm.controller);
  return {};
}

Status Successor::wait_for_word() {
  const Status yours = channel_.hear(SuccessionChannel::Word::yours);
  if (yours.ok()) {
    // Gone by now or not, it is over for it.
    [[maybe_unused]] const Status said = channel_.say(SuccessionChannel::Word::mine);
    return {};
  }
  if (yours.error().kind() == ErrorKind::absent) {
    parts_.log.warning("the vnvram-tpm that ran has died: the TPM goes on without its last word");
    return {};
  }
  return yours;
}

} // namespace vnvram
