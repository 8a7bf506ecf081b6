#include "cli/image_owner.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <functional>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "base/descriptor_passing.h"
#include "base/operator_text.h"
#include "base/size_text.h"
#include "base/system_clock.h"
#include "device/location.h"
#include "device/reservation_look.h"
#include "owner/who_starts.h"
#include "service/ending_words.h"
#include "service/idle_memory.h"
#include "service/move_words.h"
#include "service/opening_words.h"
#include "service/renewal_words.h"
#include "service/service_notify.h"
#include "service/session_offer.h"
#include "service/termination_signals.h"
#include "store/move_marks.h"
#include "store/where_it_went.h"

namespace vnvram::cli {
namespace {

constexpr std::chrono::seconds answer_max{5};

Scope scope_of(const SessionOffer& offer) {
  std::vector<Grant> grants;
  for (const SessionOffer::Right& right : offer.rights) {
    grants.push_back({.name = right.name,
                      .is_prefix = right.is_prefix,
                      .writes = right.writes,
                      .registers = right.registers});
  }
  return Scope(std::move(grants)).except(offer.except_endings);
}

// Which hand-over its image was let go for is not passed on to another TPM's process.
Status refuse_renewal() {
  return Error(ErrorKind::unsupported,
               "the front ends of an image that two hosts see are not exchanged while they serve",
               "move the machine to a host that has the other version");
}

bool is_sealed(const Status& attached) {
  return !attached && attached.error().kind() == ErrorKind::sealed;
}

std::optional<std::string> where_it_went(const std::string& location,
                                         const DeviceOptions& options) {
  const auto device = open_device(location, Access::read_only, options);
  return device ? place_moved_to(**device) : std::nullopt;
}

Status check_it_went(const std::string& from, const std::string& to, const DeviceOptions& options) {
  const auto left = open_device(from, Access::read_only, options);
  const auto found = left ? open_device(to, Access::read_only, options) : left.error();
  return found ? check_it_went_there(**left, **found) : found.error();
}

} // namespace

Status ImageOwner::attach_there(ImageKeeper& keeper) const {
  return keeper.attach({.location = location_,
                        .accept_sealed = setup_.accept_sealed,
                        .take_over = setup_.take_over,
                        .comes_after = setup_.comes_after});
}

Status ImageOwner::attach(ImageKeeper& keeper, SharedImage& shared) {
  location_ = setup_.image;
  if (setup_.is_shared) { // Nothing can be loaded for it when it comes.
    ImageKeeper::load_libraries();
  }
  if (setup_.stands_by) { // What is missing for the switch is to be said before it.
    const Status possible = setup_.reserve ? check_reservable(location_) : Status();
    return possible ? shared.stand_by() : possible;
  }
  Status attached = attach_there(keeper);
  if (!attached && setup_.is_shared && setup_.takes_over && setup_.comes_after) {
    return follow(attached.error(), keeper, shared);
  }
  if (is_sealed(attached)) {
    attached = attach_where_it_went(keeper, attached);
  }
  return attached
             ? attached
             : for_who_starts(attached.error(), setup_.is_shared ? Starts::shared : Starts::alone);
}

// What an image says of where it is now is followed by an owner of the same machine alone, to which
// the one before has said the same.
Status ImageOwner::attach_where_it_went(ImageKeeper& keeper, Status attached) {
  for (std::size_t moves = setup_.moved_to.size(); moves > 0 && is_sealed(attached); --moves) {
    const auto went_to = where_it_went(location_, setup_.device);
    const auto place = std::ranges::find_if(
        setup_.moved_to, [&](const std::string& each) { return location_name(each) == went_to; });
    if (place == setup_.moved_to.end()) {
      break;
    }
    setup_.log.info(attached.error().cause());
    if (Status went = check_it_went(location_, *place, setup_.device); !went) {
      return went;
    }
    location_ = *place;
    attached = attach_there(keeper);
  }
  if (attached && location_ != setup_.image && setup_.channel >= 0) {
    attached = pass_text(setup_.channel, std::string(place_beginning) + location_);
  }
  return attached;
}

// On a session's thread, while this process's first one waits for what comes over the channel.
Status ImageOwner::announce(const std::string& place) {
  if (setup_.channel < 0) {
    Status may = check_place(place);
    if (may) {
      goes_on_at_ = place;
    }
    return may;
  }
  std::unique_lock lock(place_mutex_);
  asked_place_ = place;
  place_answer_.reset();
  if (Status told = pass_text(setup_.channel, std::string(move_beginning) + place); !told) {
    return told;
  }
  return place_answered_.wait_for(lock, answer_max, [this] { return place_answer_.has_value(); })
             ? *place_answer_
             : Error(ErrorKind::io, "whoever has started the owner does not answer");
}

Status ImageOwner::run() {
  keep_memory_small();
  const Result<UniqueFd> signals = take_termination_signals();
  if (!signals) {
    return signals.error();
  }
  const Log& log = setup_.log;
  KeyRing keys = setup_.keys;
  keys.read_ahead(); // For another data key, later: then this process opens nothing any more.
  ImageKeeper keeper(
      {.device = setup_.device,
       .store = {.keys = setup_.keys,
                 .came_to_rest = give_back_all_memory,
                 .anchor = setup_.anchor,
                 .grow_max_bytes = setup_.grow_max_bytes,
                 .grown =
                     [this, &log](std::uint64_t from_bytes, std::uint64_t to_bytes) {
                       log.info(location_name(location_) + " " + growth_text(from_bytes, to_bytes));
                     }},
       .space = setup_.space,
       .space_warned = [&log](const Error& error) { log.warning(operator_text(error)); },
       .reserve = setup_.reserve,
       .opened =
           [channel = setup_.channel](std::uint64_t epoch) {
             if (channel >= 0) { // Who has started it and has gone hears nothing any more.
               (void)pass_text(channel, opening_report(epoch));
             }
           }});
  const std::uint64_t watch =
      keeper.watch_failures([&log](const Error& error) { log.error(operator_text(error)); });
  SharedImage shared(keeper, setup_.image, [&log](const std::string& text) { log.info(text); });
  if (Status attached = attach(keeper, shared); !attached) {
    return attached;
  }
  if (const Status goes = setup_.is_shared ? keeper.check_let_go() : Status(); !goes) {
    log.warning(operator_text(goes.error()));
  }
  give_back_memory(); // Opening took more than serving does.
  const Result<Listener> listener = Listener::open(setup_.control, setup_.access);
  if (!listener) {
    return listener.error();
  }
  const Result<std::optional<Listener>> metrics = setup_.metrics.open();
  if (!metrics) {
    return metrics.error();
  }
  if (Status served = serve(keeper, shared, *listener, *metrics, *signals); !served) {
    return served;
  }
  keeper.end_watch(watch);
  if (const Status left = shared.leave(); !left) {
    log.warning(operator_text(left.error()));
  }
  if (was_told_to_end_ || !keeper.has_left()) {
    goes_on_at_.clear();
  }
  Status closed = keeper.detach();
  if (!closed && keeper.has_left()) { // Whoever comes next sees whose it is.
    log.error(operator_text(closed.error()));
    closed = {};
  }
  return closed;
}

Departure::Setup ImageOwner::departure(std::function<void()> end) {
  // The next one would be given the key of the VM image that this one is in, the reservation of
  // this device, and the other host this place; and no mark has a key, with which to look back.
  const bool is_bound = !setup_.device.image_key_file.empty() || setup_.reserve ||
                        setup_.is_shared || location_name(location_) != location_;
  return {.location = location_name_elsewhere(location_),
          .announce = is_bound ? std::function<Status(const std::string&)>()
                               : [this](const std::string& place) { return announce(place); },
          .end = std::move(end)};
}

Status ImageOwner::give_up_rights() const {
  if (!setup_.seccomp) {
    return {};
  }
  KeyRing(setup_.keys).run_no_more_commands(); // For a state that is looked at again.
  return confine(*setup_.seccomp, {.connections = setup_.is_shared,
                                   .sessions = true,
                                   .threads = true,
                                   .growth = setup_.grow_max_bytes != 0,
                                   .client_library = has_own_threads(location_),
                                   .files = setup_.is_shared,
                                   .block_device = may_be_block_device(location_)});
}

// The one before may have let it go, and somebody have gone on with it since.
Status ImageOwner::follow(const Error& refused, ImageKeeper& keeper, SharedImage& shared) const {
  const bool may_be_elsewhere = refused.kind() == ErrorKind::sealed ||
                                refused.kind() == ErrorKind::in_use ||
                                refused.kind() == ErrorKind::stale;
  if (!may_be_elsewhere) {
    return refused;
  }
  if (Status seen = shared.stand_by(SharedImage::Before::owner_of_it); !seen) {
    return seen;
  }
  const bool is_as_left = keeper.info().epoch == setup_.comes_after->epoch;
  if (is_as_left && refused.kind() != ErrorKind::sealed) {
    return refused; // By somebody who only looks at it, maybe: it is tried again.
  }
  if (is_as_left) {
    shared.is_seen_as_left();
  } else {
    shared.give_up();
  }
  setup_.log.warning(refused.cause() + (is_as_left ? "; whoever has let it go may go on"
                                                   : "; its machine is not here any more"));
  return shared.see();
}

Status ImageOwner::serve(ImageKeeper& keeper, SharedImage& shared, const Listener& listener,
                         const std::optional<Listener>& metrics_listener, const UniqueFd& signals) {
  const std::string name = location_name(location_);
  SystemClock clock;
  const UniqueFd restarts(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const auto restart = [&restarts] { ::eventfd_write(restarts.get(), 1); };
  const auto renew = [channel = setup_.channel] { return pass_text(channel, renewal_request); };
  // Before others can use it.
  const std::string serves =
      fmt::format("{} {}, generation {}",
                  shared.standing() == SharedImage::Standing::ours ? "serves" : "stands by for",
                  name, keeper.info().generation);
  const auto server = OwnerServer::start(
      {.keeper = keeper,
       .location = name,
       .listener = listener,
       .limits = {},
       .clock = clock,
       .log = setup_.log,
       .rates = setup_.rates,
       .is_incoming = setup_.is_incoming,
       .takes_over = setup_.takes_over,
       .shared = setup_.is_shared ? &shared : nullptr,
       .tpm_hands_over = setup_.tpm_hands_over,
       .restart = setup_.channel < 0 ? std::function<void()>() : restart,
       .renew_front_ends = setup_.channel < 0 ? std::function<Status()>()
                           : setup_.is_shared ? std::function<Status()>(refuse_renewal)
                                              : std::function<Status()>(renew),
       .departure = departure(restart)});
  if (!server) {
    return server.error();
  }
  const auto metrics = serve_metrics(metrics_listener, **server, setup_.log);
  if (!metrics) {
    return metrics.error();
  }
  const ServiceNotify notify;
  if (!notify.trouble().empty()) {
    setup_.log.warning("the service manager will hear nothing: " + notify.trouble());
  }
  if (Status confined = give_up_rights(); !confined) {
    return confined;
  }
  setup_.log.info(serves);
  notify.send("READY=1\nSTATUS=Serving");
  wait_for_end(**server, signals, restarts);
  notify.send("STOPPING=1\nSTATUS=Closing the image");
  return {};
}

void ImageOwner::wait_for_end(OwnerServer& server, const UniqueFd& signals,
                              const UniqueFd& restarts) {
  std::array<pollfd, 3> entries = {pollfd{.fd = signals.get(), .events = POLLIN, .revents = 0},
                                   pollfd{.fd = setup_.channel, .events = POLLIN, .revents = 0},
                                   pollfd{.fd = restarts.get(), .events = POLLIN, .revents = 0}};
  for (;;) {
    (void)::poll(entries.data(), entries.size(), -1);
    if (entries[0].revents != 0) {
      const int signal = wait_for_termination(signals);
      was_told_to_end_ = true;
      setup_.log.info(signal == SIGINT ? "ends, because of SIGINT" : "ends, because of SIGTERM");
      return;
    }
    if (entries[2].revents != 0) {
      setup_.log.info("ends, for another owner to take its place");
      return;
    }
    if (entries[1].revents != 0 && !take_sessions(server)) {
      setup_.log.info("ends, because who has started it has gone");
      return;
    }
  }
}

bool ImageOwner::take_sessions(OwnerServer& server) {
  for (;;) {
    Result<std::optional<PassedDescriptor>> passed = take_descriptor(setup_.channel);
    if (!passed) {
      return false;
    }
    if (!*passed) {
      return true;
    }
    if ((*passed)->text == ending_word) {
      server.devices_end();
      continue;
    }
    if ((*passed)->text.starts_with(move_answer_beginning)) {
      const std::lock_guard lock(place_mutex_);
      if (const auto outcome = move_outcome((*passed)->text, asked_place_); outcome) {
        place_answer_ = *outcome;
      }
      place_answered_.notify_all();
      continue;
    }
    if (!(*passed)->descriptor.valid()) {
      server.front_ends_renewed(renewal_outcome((*passed)->text));
      continue;
    }
    const Result<SessionOffer> offer = SessionOffer::parse((*passed)->text);
    if (!offer) {
      setup_.log.error(operator_text(offer.error()));
      continue;
    }
    server.admit(std::move((*passed)->descriptor), scope_of(*offer),
                 {.device = offer->device, .pid = offer->pid, .uid = offer->uid});
  }
}

} // namespace vnvram::cli
