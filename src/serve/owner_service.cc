#include "serve/owner_service.h"

#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "rpc/wire.h"
#include "serve/metrics_text.h"

namespace vnvram {
namespace {

constexpr std::chrono::milliseconds hold_max = std::chrono::hours(1);

} // namespace

kj::Promise<void> OwnerService::status(StatusContext context) {
  const OwnerParts& owner = session_.owner;
  auto status = context.getResults().initStatus();
  status.setLocation(owner.location);
  status.setPid(::getpid());
  status.setHeld(owner.keeper.is_held());
  if (const Result<ImageState> state = session_.client.state(); state) {
    status.setAttached(true);
    write_state(status.initState(), *state);
  }
  const std::vector<Peer> peers = owner.sessions.peers();
  auto sessions = status.initSessions(static_cast<unsigned>(peers.size()));
  for (unsigned index = 0; index < sessions.size(); ++index) {
    const Peer& peer = peers[index];
    sessions[index].setNumber(peer.session);
    sessions[index].setPid(peer.pid);
    sessions[index].setUid(peer.uid);
    sessions[index].setDevice(peer.device);
    const std::vector<std::string> blobs = owner.writers.blobs_of(peer.session);
    auto writes = sessions[index].initWrites(static_cast<unsigned>(blobs.size()));
    for (unsigned blob = 0; blob < writes.size(); ++blob) {
      writes.set(blob, blobs[blob]);
    }
  }
  return kj::READY_NOW;
}

kj::Promise<void> OwnerService::hold(HoldContext context) {
  const std::chrono::milliseconds duration(context.getParams().getDurationMs());
  Status held =
      duration.count() > 0 && duration <= hold_max
          ? session_.owner.holds.hold(duration)
          : Error(ErrorKind::invalid_argument, "a hold lasts 1 ms to 1 h", "say for how long");
  answer(context, held);
  return kj::READY_NOW;
}

kj::Promise<void> OwnerService::release(ReleaseContext context) {
  context.getResults().setHeld(session_.owner.holds.release());
  return kj::READY_NOW;
}

kj::Promise<void> OwnerService::remove(RemoveContext context) {
  return session_.changes.run([this, context](Result<StoreUse>& store) mutable {
    const std::string blob = to_string(context.getParams().getBlob());
    std::optional<Status> removed = store ? take_right_to({blob}) : Status(store.error());
    if (!removed) {
      return false;
    }
    if (*removed) {
      *removed = (*store)->remove_blob(blob);
      give_up_absent(**store, {blob});
      session_.owner.fullness.directory_changed(**store);
    }
    answer(context, *removed);
    return true;
  });
}

kj::Promise<void> OwnerService::restart(RestartContext context) {
  if (session_.owner.restart) {
    session_.owner.restart();
  } else {
    answer(context, Error(ErrorKind::unsupported, "nothing would start this image's owner again",
                          "end it, and start it; with --tpm or --nbd vnvram serve does that"));
  }
  return kj::READY_NOW;
}

kj::Promise<void> OwnerService::metrics(MetricsContext context) {
  context.getResults().setText(metrics_text(session_.owner));
  return kj::READY_NOW;
}

} // namespace vnvram
