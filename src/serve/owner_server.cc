#include "serve/owner_server.h"

#include <poll.h>

#include <sys/socket.h>

#include <algorithm>
#include <array>

#include <system_error>
#include <utility>

#include <fmt/core.h>

#include "serve/metrics_text.h"
#include "serve/shared_blobs.h"
#include "service/poll_timeout.h"

namespace vnvram {
namespace {

Peer peer_of(const UniqueFd& socket, std::uint64_t session) {
  ucred credentials{};
  socklen_t size_bytes = sizeof(credentials);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size_bytes) != 0) {
    credentials = {.pid = 0, .uid = static_cast<uid_t>(-1), .gid = static_cast<gid_t>(-1)};
  }
  return {.session = session,
          .socket = socket.get(),
          .pid = credentials.pid,
          .uid = credentials.uid,
          .device = {}};
}

} // namespace

Result<std::unique_ptr<OwnerServer>> OwnerServer::start(const Setup& setup) {
  if (setup.shared != nullptr && setup.keeper.is_attached()) {
    Result<StoreUse> store = setup.keeper.use(StoreGate::Purpose::read);
    const Status may =
        store ? check_shared_blobs(setup.location, (*store)->blobs()) : store.error();
    if (!may) {
      return may.error();
    }
  }
  Result<UniqueFd> bell_fd = Bell::make_fd();
  if (!bell_fd) {
    return bell_fd.error();
  }
  try {
    return std::unique_ptr<OwnerServer>(new OwnerServer(setup, *std::move(bell_fd)));
  } catch (const std::system_error& error) {
    return Error(ErrorKind::io,
                 std::string("no thread can be started for the control socket: ") + error.what());
  }
}

OwnerServer::OwnerServer(const Setup& setup, UniqueFd bell_fd)
    : setup_(setup), bell_(std::move(bell_fd)), image_(setup.keeper, events_),
      fullness_(setup.clock, [this](const NearlyFull& full) { say_nearly_full(full); }),
      holds_(setup.keeper, setup.clock), front_ends_(setup.renew_front_ends),
      roundup_([this](std::uint64_t session) {
        return list_.is_devices(session) || !writers_.blobs_of(session).empty();
      }),
      header_(setup.keeper), departure_(setup.keeper, holds_, hand_over_, setup.departure),
      parts_{
          setup.location, setup.keeper, writers_,  events_,    holds_,       list_,
          hand_over_,     image_,       fullness_, counters_,  setup.rates,  setup.restart,
          front_ends_,    roundup_,     header_,   departure_, setup.shared, setup.tpm_hands_over},
      door_(setup.listener, setup.limits, setup.log), thread_([this] { run(); }) {
  if (const Result<StoreUse> store = setup.keeper.use(StoreGate::Purpose::read); store) {
    fullness_.begin(**store);
  }
  if (setup.is_incoming) {
    hand_over_.expect();
  }
  // The last: the store's threads tell at once, and nothing may go wrong behind it.
  failures_watch_ = setup.keeper.watch_failures([this](const Error& error) {
    counters_.add_background_failure(error.kind());
    events_.add(error);
  });
}

OwnerServer::~OwnerServer() {
  setup_.keeper.end_watch(failures_watch_);
  bell_.ring(Bell::end);
}

void OwnerServer::devices_end() {
  if (setup_.shared != nullptr) {
    holds_.in_turn([this] { setup_.shared->end(); });
  }
}

std::string OwnerServer::metrics() const {
  return metrics_text(parts_);
}

void OwnerServer::say_nearly_full(const NearlyFull& full) {
  events_.add(full);
  setup_.log.warning(fmt::format(
      "{}: {} of {} bytes are used, and it {}; {}",
      full.blob.empty() ? "the space for blobs" : "blob " + full.blob, full.used_bytes,
      full.size_bytes, full.forecast,
      full.blob.empty() ? "`resize` makes the image larger, while nobody has it open"
                        : "what is in it can be deleted, or it can be registered larger"));
}

void OwnerServer::run() {
  for (;;) {
    const auto now = Door::Clock::now();
    PollTimeout timeout(now);
    std::array<pollfd, 2> entries = {pollfd{.fd = bell_.fd(), .events = POLLIN, .revents = 0},
                                     door_.poll_entry(now)};
    timeout.until(door_.rests_until());
    if (::poll(entries.data(), entries.size(), timeout.milliseconds()) < 0) {
      continue; // A signal that is none of this thread's business.
    }
    if (entries[0].revents != 0) {
      if ((bell_.heard() & Bell::end) != 0) {
        break;
      }
      forget_the_ended();
      begin_admitted();
    }
    if (entries[1].revents != 0) {
      accept();
    }
  }
  holds_.end(); // What was answered already is made, also what was held.
  for (Session& session : sessions_) {
    session.finish(); // All of them, before any is waited for.
  }
  sessions_.clear();
}

void OwnerServer::accept() {
  UniqueFd socket = door_.accept(Door::Clock::now(), [this] { return drop_a_silent_one(); });
  if (!socket.valid()) {
    return;
  }
  // Those that make room may be waiting for the device, each with a thread.
  forget_the_ended();
  if (sessions_.size() >= 2 * setup_.limits.clients_max) {
    setup_.log.warning("too many sessions that wait for the image: refused one");
    return;
  }
  if (!has_room() && !drop_a_silent_one() && !has_room()) { // One may have ended in between.
    setup_.log.warning("too many sessions, all of which write: refused one");
    return;
  }
  const Peer peer = peer_of(socket, ++last_session_);
  begin_session(std::move(socket), peer, std::nullopt);
}

void OwnerServer::admit(UniqueFd socket, Scope scope, FrontEnd peer) {
  {
    const std::lock_guard lock(admitted_mutex_);
    admitted_.push_back({std::move(socket), std::move(scope), std::move(peer)});
  }
  bell_.ring(Bell::events);
}

void OwnerServer::begin_admitted() {
  std::vector<Admitted> admitted;
  {
    const std::lock_guard lock(admitted_mutex_);
    admitted.swap(admitted_);
  }
  for (Admitted& each : admitted) {
    Peer peer = peer_of(each.socket, ++last_session_);
    peer.device = std::move(each.peer.device);
    peer.pid = each.peer.pid;
    peer.uid = each.peer.uid.value_or(peer.uid);
    if (setup_.takes_over) {
      hand_over_.begin_use(peer.session); // Until it has said what it uses.
    }
    begin_session(std::move(each.socket), std::move(peer), std::move(each.scope));
  }
}

void OwnerServer::begin_session(UniqueFd socket, Peer peer, std::optional<Scope> scope) {
  Result<UniqueFd> bell_fd = Bell::make_fd();
  if (!bell_fd) {
    setup_.log.warning(
        fmt::format("session {} was refused: {}", peer.session, bell_fd.error().text()));
    return;
  }
  try {
    sessions_.emplace_back(std::move(socket), *std::move(bell_fd), peer, std::move(scope), parts_,
                           setup_.limits, setup_.log, [this] { bell_.ring(Bell::events); });
  } catch (const std::system_error& error) {
    setup_.log.warning(fmt::format("session {} was refused: no thread can be started for it: {}",
                                   peer.session, error.what()));
  }
}

void OwnerServer::forget_the_ended() {
  sessions_.remove_if([](const Session& session) { return session.is_over(); });
}

bool OwnerServer::has_room() const {
  const auto count = std::count_if(sessions_.begin(), sessions_.end(),
                                   [](const Session& session) { return !session.is_stopping(); });
  return static_cast<std::size_t>(count) < setup_.limits.clients_max;
}

bool OwnerServer::drop_a_silent_one() {
  auto silent = sessions_.end();
  for (auto session = sessions_.begin(); session != sessions_.end(); ++session) {
    if (session->is_operators() && !session->is_stopping() &&
        writers_.blobs_of(session->peer().session).empty() &&
        (silent == sessions_.end() || session->last_active() < silent->last_active())) {
      silent = session;
    }
  }
  if (silent == sessions_.end()) {
    return false;
  }
  setup_.log.info(fmt::format("session {} makes room for another one", silent->peer().session));
  silent->stop(); // It may be waiting for the device.
  return true;
}

} // namespace vnvram
