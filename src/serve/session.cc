#include "serve/session.h"

#include <poll.h>

#include <array>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include <capnp/rpc-twoparty.h>
#include <fmt/core.h>

#include "base/operator_text.h"
#include "rpc/polled_stream.h"
#include "rpc/wire.h"
#include "serve/owner_service.h"
#include "serve/throttle.h"
#include "service/poll_timeout.h"

namespace vnvram {
namespace {

constexpr std::size_t word_bytes = sizeof(capnp::word);
// Of calls that are not answered yet. Beyond it nothing is read of the session, so that changes do
// not pile up while they are held.
constexpr std::size_t calls_max_bytes = message_size_max_bytes;
// More than a socket has room for, as the kernel has it unless told otherwise.
constexpr std::size_t socket_max_bytes = std::size_t{512} << 10U;

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

// In a roundup, for as long as it exists.
class Attendance {
public:
  Attendance(Roundup& roundup, std::uint64_t session, std::function<void()> rings)
      : roundup_(roundup), session_(session) {
    roundup_.join(session_, std::move(rings));
  }
  Attendance(const Attendance&) = delete;
  Attendance& operator=(const Attendance&) = delete;
  ~Attendance() { roundup_.leave(session_); }

private:
  Roundup& roundup_;
  const std::uint64_t session_;
};

} // namespace

Session::Session(UniqueFd socket, UniqueFd bell_fd, const Peer& peer, std::optional<Scope> scope,
                 const OwnerParts& owner, ConnectionLimits limits, const Log& log,
                 std::function<void()> ended)
    : socket_(std::move(socket)), peer_(peer), scope_(std::move(scope)), owner_(owner),
      limits_(limits), log_(log), ended_(std::move(ended)), bell_(std::move(bell_fd)),
      thread_([this] { run(); }) {}

Session::~Session() {
  stop();
}

void Session::stop() {
  stopping_ = true;
  bell_.ring(Bell::end);
}

void Session::finish() {
  finishing_ = true;
  stop();
}

void Session::run() {
  owner_.sessions.add(peer_);
  owner_.counters.add_session();
  log_.info(fmt::format("session {} begins: {}process {} of user {}", peer_.session,
                        peer_.device.empty() ? "" : peer_.device + ", ", peer_.pid, peer_.uid));
  try {
    serve();
  } catch (const kj::Exception& exception) {
    log_.warning(fmt::format("session {}: {}", peer_.session, exception.getDescription().cStr()));
  } catch (const std::exception& exception) {
    log_.warning(fmt::format("session {}: {}", peer_.session, exception.what()));
  }
  owner_.writers.give_up(peer_.session);
  owner_.hand_over.end_use(peer_.session);
  if (!stopping_) { // The owner ends, not the device: it goes on with the next one.
    seal_what_is_due();
  }
  owner_.sessions.remove(peer_.session);
  socket_.reset();
  log_.info(fmt::format("session {} ends", peer_.session));
  stopping_ = true;
  over_ = true;
  ended_();
}

// It may have been the last that kept the image from being sealed. While changes are held it waits.
void Session::seal_what_is_due() {
  if (!owner_.hand_over.is_due()) {
    return;
  }
  Result<StoreUse> store = owner_.keeper.use(StoreGate::Purpose::change);
  if (store && owner_.hand_over.is_due() && !(*store)->info().sealed) {
    const Status sealed = (*store)->seal();
    log_.info(sealed
                  ? fmt::format("the image is sealed at generation {}", (*store)->info().generation)
                  : "the image could not be sealed: " + operator_text(sealed.error()));
  }
}

void Session::serve() {
  kj::EventLoop loop; // Without a port: nothing in it waits by itself.
  kj::WaitScope scope(loop);
  PolledStream stream(socket_.get(), PolledStream::Order::answers_first);
  SessionParts parts(owner_, peer_.session, stream);
  capnp::ReaderOptions limits;
  limits.traversalLimitInWords = message_size_max_bytes / word_bytes;
  capnp::TwoPartyVatNetwork network(stream, capnp::rpc::twoparty::Side::SERVER, limits);
  capnp::Capability::Client rights =
      scope_ ? capnp::Capability::Client(kj::heap<BlobsService>(parts, *scope_))
             : capnp::Capability::Client(kj::heap<OwnerService>(parts));
  auto rpc = capnp::makeRpcServer(network, kj::mv(rights));
  rpc.setFlowLimit(calls_max_bytes / word_bytes);
  const Watching events(owner_.events.news(), [this] { bell_.ring(Bell::events); });
  const Watching generations(owner_.image.moved_on(), [this, &parts] {
    if (parts.watchers.want_generations()) {
      bell_.ring(Bell::events);
    }
  });
  const Watching releases(owner_.keeper.releases(), [this] { bell_.ring(Bell::changes); });
  const Watching rights_given_up(owner_.writers.given_up(), [this] { bell_.ring(Bell::changes); });
  const Watching renewals(owner_.front_ends.ended(), [this] { bell_.ring(Bell::events); });
  const Attendance attendance(owner_.roundup, peer_.session, [this] { bell_.ring(Bell::roundup); });
  Throttle throttle(owner_.rates);
  std::uint64_t counted_calls = 0;
  bool connected = true;
  auto end = network.onDisconnect().then([&] { connected = false; }).eagerlyEvaluate(nullptr);
  scope.poll();
  while (connected || lingers(parts)) {
    const bool is_full = parts.lane.is_full();
    const auto closed_until = hung_up_ ? std::nullopt : throttle.closed_until(Clock::now());
    const unsigned why = wait(stream, is_full, closed_until);
    if ((why & Bell::end) != 0) {
      break;
    }
    if ((why & Bell::roundup) != 0) {
      const std::uint64_t round = owner_.roundup.round();
      take_what_was_sent(stream, parts, scope);
      owner_.roundup.done(peer_.session, round);
    }
    if ((why & Bell::events) != 0) {
      parts.watchers.look();
      if (parts.front_ends_renewed.get() != nullptr && owner_.front_ends.outcome()) {
        parts.front_ends_renewed->fulfill();
      }
    }
    if ((why & Bell::changes) != 0) {
      parts.changes.go_on(stopping_);
    }
    if (!is_full && !closed_until && stream.advance()) {
      last_active_ = Clock::now();
      unfinished_since_.reset();
    }
    scope.poll();
    stream.send_output();
    const std::uint64_t new_calls =
        parts.call_count - std::exchange(counted_calls, parts.call_count);
    owner_.counters.add_calls(new_calls);
    throttle.count(stream.take_received_count_bytes() + std::exchange(uncounted_bytes_, 0),
                   new_calls, Clock::now());
  }
  if (finishing_) { // Also of a peer that has gone, and whose changes were stopped half way.
    parts.changes.finish();
    take_what_was_sent(stream, parts, scope);
    parts.changes.finish();
  }
}

// A front end may have told a guest that it is done.
bool Session::lingers(SessionParts& parts) {
  parts.changes.go_on(stopping_);
  return parts.lane.has_waiting() && parts.changes.is_held_up();
}

// And so with what it has sent until somebody relies on that. Who goes on sending, or takes no
// answers, holds up nobody.
void Session::take_what_was_sent(PolledStream& stream, SessionParts& parts, kj::WaitScope& scope) {
  std::uint64_t taken_bytes = 0;
  bool goes_on = true;
  while (goes_on && !parts.lane.is_full()) {
    const bool looked = stream.takes_more(); // If not, it sorts what had come before.
    const bool came = stream.advance();
    scope.poll();
    stream.send_output();
    taken_bytes += stream.take_received_count_bytes();
    goes_on = stream.can_go_on() ||
              (stream.takes_more() && (came || !looked) && taken_bytes < socket_max_bytes);
  }
  uncounted_bytes_ += taken_bytes;
}

unsigned Session::wait(const PolledStream& stream, bool is_full,
                       std::optional<Clock::time_point> closed_until) {
  const Clock::time_point now = Clock::now();
  PollTimeout timeout(now);
  const bool is_closed = is_full || closed_until;
  const bool is_unfinished = !is_closed && !stream.is_between_messages() && stream.takes_more();
  if (is_unfinished) {
    unfinished_since_ = unfinished_since_.value_or(now);
    timeout.until(*unfinished_since_ + limits_.unfinished_max);
  } else {
    unfinished_since_.reset();
  }
  timeout.until(closed_until);
  if (stream.can_go_on() && !is_closed) {
    timeout.until(now);
  }
  const short events = static_cast<short>(stream.poll_events() & (is_closed ? ~POLLIN : ~0));
  // That the peer has hung up is of no use before it is read, unless nobody need wait any more.
  const bool looks = events != 0 || closed_until;
  std::array<pollfd, 2> entries = {
      pollfd{.fd = looks ? socket_.get() : -1, .events = events, .revents = 0},
      pollfd{.fd = bell_.fd(), .events = POLLIN, .revents = 0}};
  const int ready = ::poll(entries.data(), entries.size(), timeout.milliseconds());
  hung_up_ = hung_up_ || (closed_until && (entries[0].revents & (POLLHUP | POLLERR)) != 0);
  if (ready == 0 && is_unfinished && !stream.can_go_on()) {
    log_.warning(fmt::format("session {} has not gone on with a message that it has begun: dropped",
                             peer_.session));
    return Bell::end;
  }
  return entries[1].revents != 0 ? bell_.heard() : 0;
}

} // namespace vnvram
