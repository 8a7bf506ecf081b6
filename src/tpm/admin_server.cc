#include "tpm/admin_server.h"

#include <future>
#include <memory>
#include <string>
#include <utility>

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>

#include "rpc/tpm_admin.capnp.h"
#include "rpc/wire.h"
#include "tpm/admin_stream.h"

namespace vnvram {
namespace {

constexpr auto listen_again_after = 1 * kj::SECONDS;

rpc::Custody to_rpc(Custody::State custody) {
  switch (custody) {
  case Custody::State::ours: return rpc::Custody::OURS;
  case Custody::State::handed_over: return rpc::Custody::HANDED_OVER;
  case Custody::State::gone: return rpc::Custody::GONE;
  }
  return rpc::Custody::GONE;
}

// Cap'n Proto keeps its servers by their dynamic type and needs no virtual destructor for it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
class TpmAdminService final : public rpc::TpmAdmin::Server {
public:
  TpmAdminService(SoftTpm& tpm, TpmStorage& storage, TpmWorker& worker)
      : tpm_(tpm), storage_(storage), worker_(worker) {}

  kj::Promise<void> status(StatusContext context) override {
    fill(context.getResults().initReply(), {});
    return kj::READY_NOW;
  }

  kj::Promise<void> hold(HoldContext context) override {
    auto waits = kj::newPromiseAndCrossThreadFulfiller<void>();
    worker_.hold([fulfiller = shared(kj::mv(waits.fulfiller))] { (*fulfiller)->fulfill(); });
    return waits.promise.then(
        [this, context]() mutable { fill(context.getResults().initReply(), {}); });
  }

  kj::Promise<void> resume(ResumeContext context) override {
    worker_.resume();
    return on_worker(context, [] { return Status(); }); // Behind what resume() has queued.
  }

  kj::Promise<void> detach(DetachContext context) override {
    return on_worker(context, [&storage = storage_, &worker = worker_] {
      return storage.detach(worker.is_held());
    });
  }

  kj::Promise<void> attach(AttachContext context) override {
    const std::string location = context.getParams().getLocation().cStr();
    return on_worker(context, [&storage = storage_, location] { return storage.attach(location); });
  }

  kj::Promise<void> unseal(UnsealContext context) override {
    return on_worker(context, [&storage = storage_] { return storage.unseal(); });
  }

private:
  template <typename T> static std::shared_ptr<T> shared(T value) {
    return std::make_shared<T>(kj::mv(value));
  }

  /// The job may run when this object is gone: at the end, the worker's is the last word.
  template <typename Context>
  kj::Promise<void> on_worker(Context context, std::function<Status()> job) {
    auto waits = kj::newPromiseAndCrossThreadFulfiller<void>();
    auto result = std::make_shared<Status>();
    worker_.run_soon([job = std::move(job), result, fulfiller = shared(kj::mv(waits.fulfiller))] {
      *result = job();
      (*fulfiller)->fulfill();
    });
    return waits.promise.then(
        [this, context, result]() mutable { fill(context.getResults().initReply(), *result); });
  }

  void fill(rpc::Reply::Builder reply, const Status& result) const {
    const TpmStorageStatus from = storage_.status();
    auto status = reply.initStatus();
    status.setLocation(from.location);
    status.setAttached(from.attached);
    status.setHeld(worker_.is_held());
    status.setCustody(to_rpc(from.custody));
    status.setContentMayChange(from.image.content_may_change);
    status.setUncommitted(from.uncommitted);
    status.setFailed(from.failed);
    status.setGeneration(from.image.generation);
    status.setImageUuid(kj::arrayPtr(reinterpret_cast<const kj::byte*>(from.image.uuid.data()),
                                     from.image.uuid.size()));
    status.setImageError(from.image_error);
    status.setTpmVersion(tpm_.version() == TpmVersion::tpm2_0 ? "2.0" : "1.2");
    if (!result.ok()) {
      write_failure(reply.initFailure(), result.error());
    }
  }

  SoftTpm& tpm_;
  TpmStorage& storage_;
  TpmWorker& worker_;
};
#pragma GCC diagnostic pop

// What listening for clients needs.
struct Entrance {
  kj::Timer& timer;
  capnp::TwoPartyServer& server;
  kj::ConnectionReceiver& receiver;
  ConnectionLimits limits;
  AdminClients& clients;
  const Log& log;
};

kj::Promise<void> listen(Entrance& entrance) {
  return entrance.receiver.accept().then([&entrance](kj::Own<kj::AsyncIoStream>&& client) {
    entrance.clients.make_room();
    entrance.server.accept(kj::heap<AdminStream>(kj::mv(client), entrance.timer,
                                                 entrance.limits.unfinished_max, entrance.clients));
    return listen(entrance);
  });
}

// Too many connections are a reason to wait, not to leave a held TPM with nobody to resume it.
kj::Promise<void> listen_again_and_again(Entrance& entrance) {
  return listen(entrance)
      .catch_([&entrance](const kj::Exception& exception) {
        entrance.log.warning(std::string("the admin socket: ") + exception.getDescription().cStr());
        entrance.clients.drop_a_silent_one();
        return entrance.timer.afterDelay(listen_again_after);
      })
      .then([&entrance] { return listen_again_and_again(entrance); });
}

} // namespace

AdminServer::AdminServer(const Listener& listener, SoftTpm& tpm, TpmStorage& storage,
                         TpmWorker& worker, ConnectionLimits limits, const Log& log) {
  // Its system calls to start with are made before the constructor returns: afterwards the process
  // may be confined.
  std::promise<std::function<void()>> started;
  auto stop = started.get_future();
  thread_ = std::jthread([&listener, &tpm, &storage, &worker, limits, &log,
                          started = std::move(started)]() mutable {
    try {
      kj::AsyncIoContext io = kj::setupAsyncIo();
      auto receiver = io.lowLevelProvider->wrapListenSocketFd(
          listener.fd(), kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC |
                             kj::LowLevelAsyncIoProvider::ALREADY_NONBLOCK);
      AdminClients clients(limits.clients_max);
      capnp::TwoPartyServer server(kj::heap<TpmAdminService>(tpm, storage, worker));
      auto end = kj::newPromiseAndCrossThreadFulfiller<void>();
      auto fulfiller =
          std::make_shared<kj::Own<kj::CrossThreadPromiseFulfiller<void>>>(kj::mv(end.fulfiller));
      started.set_value([fulfiller] { (*fulfiller)->fulfill(); });
      Entrance entrance{io.provider->getTimer(), server, *receiver, limits, clients, log};
      listen_again_and_again(entrance).exclusiveJoin(kj::mv(end.promise)).wait(io.waitScope);
    } catch (const kj::Exception& exception) {
      log.error(std::string("the admin socket is served no more: ") +
                exception.getDescription().cStr());
    }
  });
  stop_ = stop.get();
}

AdminServer::~AdminServer() {
  stop_();
}

} // namespace vnvram
