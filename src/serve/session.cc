#include "serve/session.h"

#include <exception>
#include <string>
#include <utility>

#include <capnp/rpc-twoparty.h>
#include <fmt/core.h>
#include <kj/async-io.h>

#include "rpc/message_stream.h"
#include "rpc/wire.h"
#include "serve/owner_service.h"

namespace vnvram {
namespace {

constexpr std::size_t word_bytes = sizeof(capnp::word);
/// Cap'n Proto reads no further while calls of so many bytes are under way.
constexpr std::size_t flow_max_words = message_size_max_bytes / word_bytes;

// For as long as it exists.
template <typename... What> class Watching {
public:
  Watching(Watch<What...>& watch, typename Watch<What...>::Watcher watcher)
      : watch_(watch), number_(watch.begin(std::move(watcher))) {}
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;
  ~Watching() { watch_.end(number_); }

private:
  Watch<What...>& watch_;
  std::uint64_t number_;
};

kj::Promise<void> whenever(Bell& bell, kj::Function<void()> call) {
  return bell.heard().then([&bell, call = kj::mv(call)]() mutable {
    call();
    return whenever(bell, kj::mv(call));
  });
}

void tell(std::vector<SessionParts::Watcher>& watchers, std::uint64_t last_event) {
  for (auto& watcher : watchers) {
    if (watcher.after < last_event) {
      watcher.news->fulfill();
    }
  }
  std::erase_if(watchers, [](auto& watcher) { return !watcher.news->isWaiting(); });
}

} // namespace

Session::Session(UniqueFd socket, const Peer& peer, const OwnerParts& owner,
                 ConnectionLimits limits, const Log& log, std::function<void()> ended)
    : socket_(std::move(socket)), peer_(peer), owner_(owner), limits_(limits), log_(log),
      ended_(std::move(ended)), thread_([this] { run(); }) {}

Session::~Session() {
  stop();
}

void Session::stop() {
  stopping_ = true;
  end_.ring();
}

void Session::run() {
  owner_.sessions.add(peer_);
  log_.info(
      fmt::format("session {} begins: process {} of user {}", peer_.session, peer_.pid, peer_.uid));
  try {
    serve();
  } catch (const kj::Exception& exception) {
    log_.warning(fmt::format("session {}: {}", peer_.session, exception.getDescription().cStr()));
  } catch (const std::exception& exception) {
    log_.warning(fmt::format("session {}: {}", peer_.session, exception.what()));
  }
  owner_.writers.give_up(peer_.session);
  owner_.sessions.remove(peer_.session);
  log_.info(fmt::format("session {} ends", peer_.session));
  stopping_ = true;
  over_ = true;
  ended_();
}

void Session::serve() {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  auto socket = io.lowLevelProvider->wrapSocketFd(socket_.get());
  MessageStream stream(kj::mv(socket), io.provider->getTimer(), limits_.unfinished_max,
                       [this] { last_active_ = std::chrono::steady_clock::now(); });
  SessionParts parts(owner_, peer_.session);
  capnp::ReaderOptions limits;
  limits.traversalLimitInWords = message_size_max_bytes / word_bytes;
  capnp::TwoPartyVatNetwork network(stream, capnp::rpc::twoparty::Side::SERVER, limits);
  auto rpc = capnp::makeRpcServer(network, kj::heap<OwnerService>(parts));
  rpc.setFlowLimit(flow_max_words);
  const Watching events(owner_.events.news(), [this] { news_.ring(); });
  const Watching releases(owner_.keeper.releases(), [this] { releases_.ring(); });
  const Watching rights(owner_.writers.given_up(), [this] { releases_.ring(); });
  auto told = whenever(news_, [&] { tell(parts.watchers, owner_.events.last()); });
  auto going_on = whenever(releases_, [&] { parts.changes.go_on(); });
  network.onDisconnect()
      .exclusiveJoin(end_.heard())
      .exclusiveJoin(kj::mv(told))
      .exclusiveJoin(kj::mv(going_on))
      .wait(io.waitScope);
}

} // namespace vnvram
