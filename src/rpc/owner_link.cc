#include "rpc/owner_link.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <system_error>

#include "rpc/blob_requests.h"
#include "rpc/wire.h"

namespace vnvram {
namespace {

constexpr std::chrono::seconds greeting_max{5};
constexpr std::uint64_t kept_answer_max_bytes = 16384;
// For so long after a call who follows failures leaves the socket to those that come next.
constexpr std::chrono::milliseconds quiet_min{50};

// No image is at it, nor is it of no interest.
constexpr std::uint64_t unknown_generation = no_generation - 1;

int milliseconds_until(std::optional<std::chrono::steady_clock::time_point> until) {
  if (!until) {
    return -1;
  }
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(*until - std::chrono::steady_clock::now());
  return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

} // namespace

Error OwnerLink::failed(const kj::Exception& exception) {
  const std::string said = exception.getDescription().cStr();
  if (exception.getType() == kj::Exception::Type::UNIMPLEMENTED) {
    return {ErrorKind::unsupported, "the image's owner does not know this call: " + said,
            "it takes a newer owner"};
  }
  return {ErrorKind::io, "the image's owner cannot be reached: " + said, "see whether it runs"};
}

bool OwnerLink::note_loss(const kj::Exception& exception) {
  if (exception.getType() != kj::Exception::Type::DISCONNECTED && !stream_.is_over()) {
    return false;
  }
  loss_ = loss_.empty() ? exception.getDescription().cStr() : loss_;
  return true;
}

Error OwnerLink::loss() {
  const std::lock_guard lock(mutex_);
  return {ErrorKind::io,
          "the image's owner cannot be reached: " +
              (loss_.empty() ? std::string("it has hung up") : loss_),
          "see whether it runs"};
}

void OwnerLink::shut_down() {
  ::shutdown(socket_.get(), SHUT_RDWR);
}

Result<std::unique_ptr<OwnerLink>> OwnerLink::open(UniqueFd socket) {
  UniqueFd wake_fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_fd.valid()) {
    return Error(ErrorKind::io,
                 "cannot make an event descriptor: " + std::system_category().message(errno));
  }
  std::unique_ptr<OwnerLink> link(new OwnerLink(std::move(socket), std::move(wake_fd)));
  std::optional<Status> greeted;
  std::unique_lock lock(link->mutex_);
  kj::Maybe<kj::Promise<void>> greeting;
  link->run_loop([&] {
    link->client_.emplace(link->stream_);
    link->owner_.emplace(link->client_->bootstrap().castAs<rpc::Owner>());
    auto lane = link->ask_for_lane();
    greeting = link->owner_->stateRequest()
                   .send()
                   .then([lane = kj::mv(lane)](auto&&) mutable { return kj::mv(lane); })
                   .then([&] { greeted.emplace(); },
                         [&](kj::Exception&& exception) { greeted.emplace(failed(exception)); })
                   .eagerlyEvaluate(nullptr);
  });
  const bool answered = link->wait(
      lock, [&] { return greeted.has_value(); }, Clock::now() + greeting_max);
  link->run_loop([&] { greeting = nullptr; });
  lock.unlock();
  if (!answered) {
    return Error(ErrorKind::io, "nobody answers there as the owner of an image does",
                 "is it the control socket of an owner that runs?");
  }
  if (!*greeted) {
    return greeted->error();
  }
  return link;
}

OwnerLink::OwnerLink(UniqueFd socket, UniqueFd wake_fd)
    : socket_(std::move(socket)), wake_fd_(std::move(wake_fd)), stream_(socket_.get()),
      lane_(stream_) {}

OwnerLink::~OwnerLink() {
  const std::lock_guard lock(mutex_);
  run_loop([this] {
    owner_.reset();
    client_.reset();
  });
}

template <typename Work> void OwnerLink::run_loop(Work work) {
  kj::WaitScope scope(loop_);
  work();
  scope.poll();
}

void OwnerLink::carry_out(const Start& start, const Done& done) {
  std::unique_lock lock(mutex_);
  kj::Maybe<kj::Promise<void>> asked;
  run_loop([&] { asked = start(*owner_).eagerlyEvaluate(nullptr); });
  stream_.send_output();
  send_what_waits(lock);
  wait(lock, done, std::nullopt);
  // The word that the answer was taken goes with the next call, unless it is a large one's, which
  // the other end keeps until then.
  const std::uint64_t received_bytes = stream_.take_received_count_bytes();
  run_loop([&] { asked = nullptr; });
  if (received_bytes > kept_answer_max_bytes) {
    stream_.send_output();
  }
}

kj::Promise<void> OwnerLink::ask_for_lane() {
  return owner_->openLaneRequest().send().then(
      [this](auto&& answer) {
        if (!answer.hasFailure()) {
          lane_.open();
        }
      },
      [](kj::Exception&& exception) {
        if (exception.getType() != kj::Exception::Type::UNIMPLEMENTED) {
          kj::throwFatalException(kj::mv(exception));
        }
      });
}

std::optional<Result<std::uint64_t>> OwnerLink::try_to_change(const Change& change) {
  if (lane_.is_open()) {
    return change_by_lane(change);
  }
  return try_to_ask<std::uint64_t>([&change](rpc::Owner::Client& owner) {
    const bool deferred = change.begun();
    return request_change(owner, change.transaction, deferred)
        .then([&change](Result<std::uint64_t>&& answer) {
          change.answered(answer);
          return kj::mv(answer);
        });
  });
}

std::optional<Result<std::uint64_t>> OwnerLink::change_by_lane(const Change& change) {
  std::optional<Result<std::uint64_t>> result;
  std::unique_lock lock(mutex_);
  const bool deferred = change.begun();
  const std::uint32_t number =
      lane_.send(change.transaction, deferred, [&](const Result<std::uint64_t>& answer) {
        change.answered(answer);
        result.emplace(answer);
      });
  stream_.send_output();
  send_what_waits(lock);
  wait(
      lock, [&] { return result.has_value() || stream_.is_over(); }, std::nullopt);
  lane_.forget(number);
  return result;
}

bool OwnerLink::post(const Posted& posted) {
  std::unique_lock lock(mutex_);
  stream_.send_output(); // What could wait for the next call.
  if (!lane_.is_open() || stream_.is_over() || stream_.has_output()) {
    return false;
  }
  LaneCalls::Answered answered = posted.begun();
  if (!answered) {
    return false;
  }
  (void)lane_.send(posted.transaction, true, std::move(answered));
  stream_.send_output();
  last_call_ = Clock::now();
  if (!polls_) {
    take_what_has_come(); // Nobody else does.
  }
  send_what_waits(lock);
  wait(
      lock, [&] { return !stream_.has_output() || stream_.is_over(); }, std::nullopt);
  return !stream_.is_over();
}

bool OwnerLink::wait_for(const std::function<bool()>& done) {
  std::unique_lock lock(mutex_);
  wait(
      lock, [&] { return done() || stream_.is_over(); }, std::nullopt);
  return done();
}

void OwnerLink::take_what_has_come() {
  do {
    run_loop([this] { stream_.advance(); });
  } while (stream_.can_go_on());
}

// Who polls for answers does not know that there is something to be sent now.
void OwnerLink::send_what_waits(std::unique_lock<std::mutex>& lock) {
  while (polls_ && stream_.has_output()) {
    lock.unlock();
    pollfd entry{.fd = socket_.get(), .events = POLLOUT, .revents = 0};
    (void)::poll(&entry, 1, -1);
    lock.lock();
    stream_.send_output();
  }
}

bool OwnerLink::wait(std::unique_lock<std::mutex>& lock, const Done& done,
                     std::optional<Clock::time_point> until) {
  while (!done()) {
    if (polls_) {
      ++waiting_count_;
      changed_.wait(lock);
      --waiting_count_;
      continue;
    }
    if (until && Clock::now() >= *until) {
      return false;
    }
    polls_ = true;
    const short events = stream_.poll_events();
    lock.unlock();
    pollfd entry{.fd = socket_.get(), .events = events, .revents = 0};
    (void)::poll(&entry, 1, milliseconds_until(until));
    lock.lock();
    polls_ = false;
    take_what_has_come();
    last_call_ = Clock::now();
    if (waiting_count_ > 0) {
      changed_.notify_all(); // Theirs may have come, and one of them polls from now on.
    }
    if (stream_.is_over()) {
      follows_on_.notify_all();
    }
  }
  return true;
}

void OwnerLink::stop_following() {
  const std::lock_guard lock(mutex_);
  stops_following_ = true;
  follows_on_.notify_all();
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_fd_.get(), &one, sizeof(one));
}

kj::Promise<void> OwnerLink::ask_for_news(std::uint64_t after) {
  auto request = owner_->watchRequest();
  request.setAfter(after);
  request.setOtherThanGeneration(told_generation_);
  return request.send().then([this](auto&& happened) -> kj::Promise<void> {
    if (happened.hasFailure()) { // It would be the same the next time.
      follower_.happened(read_failure(happened.getFailure()));
      return kj::READY_NOW;
    }
    for (const auto event : happened.getEvents()) {
      if (const std::optional<OwnerEvent> known = read_event(event); known) {
        tell(*known);
      }
    }
    return ask_for_news(happened.getLast());
  });
}

void OwnerLink::tell(const OwnerEvent& event) {
  if (const auto* reached = std::get_if<GenerationReached>(&event)) {
    told_generation_ = reached->generation;
  }
  follower_.happened(event);
}

// While callers come it sleeps; when none has come for a moment it polls, for as long as it takes.
void OwnerLink::follow(std::uint64_t after, Follower follower) {
  std::unique_lock lock(mutex_);
  follower_ = std::move(follower);
  told_generation_ = follower_.hears_of_generations ? unknown_generation : no_generation;
  run_loop([&] {
    following_ = ask_for_news(after)
                     .catch_([this](const kj::Exception& exception) {
                       if (!note_loss(exception)) {
                         follower_.happened(failed(exception));
                       }
                     })
                     .eagerlyEvaluate(nullptr);
  });
  stream_.send_output(); // The question that waits for what happens.
  while (!stops_following_ && !stream_.is_over()) {
    const auto quiet_at = last_call_ + quiet_min;
    if (polls_ || Clock::now() < quiet_at) {
      follows_on_.wait_until(lock, std::max(quiet_at, Clock::now() + quiet_min));
      continue;
    }
    stream_.send_output();
    const short events = stream_.poll_events();
    lock.unlock();
    std::array<pollfd, 2> entries = {pollfd{.fd = socket_.get(), .events = events, .revents = 0},
                                     pollfd{.fd = wake_fd_.get(), .events = POLLIN, .revents = 0}};
    (void)::poll(entries.data(), entries.size(), -1);
    lock.lock();
    if (!polls_ && !stops_following_) { // Else it is that caller's to take.
      take_what_has_come();
      if (waiting_count_ > 0) {
        changed_.notify_all();
      }
    }
  }
  run_loop([this] { following_.reset(); });
}

void OwnerLink::follow_failures(std::uint64_t after, std::function<void(const Error&)> tell) {
  const auto tell_failure = [tell = std::move(tell)](const OwnerEvent& event) {
    if (const auto* failure = std::get_if<Error>(&event)) {
      tell(*failure);
    }
  };
  follow(after, {.happened = tell_failure});
}

} // namespace vnvram
