#include "device/rbd_image.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/core.h>

#include "base/alarm_clock.h"
#include "base/suspended_time.h"
#include "base/system_clock.h"
#include "device/call_in_time.h"
#include "device/rbd_error.h"
#include "device/rbd_fence.h"
#include "device/rbd_lock.h"
#include "device/rbd_lock_holder.h"
#include "device/rbd_settings.h"

namespace vnvram {
namespace {

// For the cluster to find out that the lock's owner has died (30 s where nothing is said), for that
// owner to be shut out, and for librbd, which asks it a few times first.
constexpr std::chrono::seconds lock_patience{90};
// One that lives answers in less.
constexpr std::chrono::seconds silent_max{5};
// In less nobody changes an image's features, opens it and comes to write to it.
constexpr std::chrono::milliseconds recent_max{10};
// A request that took longer may have met a cluster that has lost sight of this client, and given
// its lock away: where nothing is said that takes 30 s.
constexpr std::chrono::seconds slow_min{5};

const char* verb_of_rbd(RbdRequest::Kind kind) {
  switch (kind) {
  case RbdRequest::Kind::read: return "read";
  case RbdRequest::Kind::write: return "write";
  case RbdRequest::Kind::flush: break;
  }
  return "flush";
}

struct OpenedImage {
  std::shared_ptr<RbdHandle> handle;
  RbdProperties properties;
};

Result<OpenedImage> open_at_leisure(std::shared_ptr<RbdCluster> cluster, Access access) {
  Result<std::shared_ptr<RbdHandle>> handle = RbdHandle::open(std::move(cluster), access);
  if (!handle) {
    return handle.error();
  }
  const Result<RbdProperties> properties = (*handle)->properties();
  Status done = properties ? Status() : Status(properties.error());
  if (done && access == Access::read_write) {
    done = check_rbd_settings(**handle);
  }
  return done ? Result<OpenedImage>({*std::move(handle), *properties}) : done.error();
}

} // namespace

Result<std::unique_ptr<RbdImage>> RbdImage::open(std::shared_ptr<RbdCluster> cluster,
                                                 Access access) {
  const RbdLocation location = cluster->location();
  if (!location.snapshot.empty() && access == Access::read_write) {
    return Error(ErrorKind::read_only, location.text + ": a snapshot cannot be written to",
                 "`rbd clone` makes an image of it that can; as it is it can only be read");
  }
  const auto timeout = cluster->timeout();
  const auto patience = cluster->patience();
  // The call has the cluster for itself: what does not become an image ends there, too.
  auto opened = call_in_time(patience, [cluster = std::move(cluster), access]() mutable {
    return open_at_leisure(std::move(cluster), access);
  });
  if (!opened) {
    return rbd_error(location.text, "open the image " + location.spec(), -ETIMEDOUT, timeout);
  }
  if (!*opened) {
    return opened->error();
  }
  OpenedImage image = **std::move(opened);
  return std::unique_ptr<RbdImage>(new RbdImage(std::move(image.handle), access, image.properties));
}

RbdImage::RbdImage(std::shared_ptr<RbdHandle> handle, Access access,
                   const RbdProperties& properties)
    : handle_(std::move(handle)), is_writable_(access == Access::read_write),
      has_lock_(properties.has_lock),
      // While nobody asks, the image is not the call's: it would be closed by a thread that nobody
      // waits for.
      asking_(std::make_unique<RepeatedCall<Result<RbdProperties>>>(
          [weak = std::weak_ptr(handle_)]() -> Result<RbdProperties> {
            const std::shared_ptr<RbdHandle> image = weak.lock();
            return image->properties();
          })),
      size_bytes_(properties.size_bytes), checked_at_(now()) {}

RbdImage::~RbdImage() {
  if (!cluster().is_in_its_process()) {
    static_cast<void>(asking_.release()); // Its thread is the parent's.
    return;
  }
  asking_.reset();
  const auto patience = cluster().patience();
  call_in_time(patience, [handle = std::move(handle_)]() mutable {
    handle.reset();
    return 0;
  });
}

RbdImage::Time RbdImage::now() {
  return std::chrono::steady_clock::now() + suspended_time();
}

Status RbdImage::check_usable() {
  if (!cluster().is_in_its_process()) {
    return Error(ErrorKind::unsupported,
                 name() + ": it was opened by the process's parent, and librbd does not take part "
                          "in a fork",
                 "open it in this process");
  }
  const std::lock_guard lock(mutex_);
  return given_up_ ? Status(*given_up_) : Status();
}

// Whoever takes the feature away (`rbd feature disable`) takes the lock away, and librbd goes on
// writing without it, for us as for everybody else. Whoever adds it has librbd take the lock by
// itself, and give it to the next one, who does not expect us any more. And of a write that goes
// beyond an end that was moved librbd leaves out the rest, and calls it done.
Status RbdImage::check_unchanged() {
  const std::uint64_t known_bytes = size_bytes_;
  const Time asked_at = now();
  const std::optional<Result<RbdProperties>> found = (*asking_)(cluster().patience());
  if (!found) {
    return give_up(cluster().error("find out about it", -ETIMEDOUT), false);
  }
  if (!*found) {
    return give_up(found->error(), false);
  }
  const RbdProperties& is = **found;
  if (is_writable_ && is.has_lock != has_lock_) {
    return give_up(
        has_lock_
            ? Error(ErrorKind::io,
                    name() + ": its feature exclusive-lock was taken away while it was open, and "
                             "with it the lock that keeps others from writing",
                    fmt::format("rbd feature enable {} exclusive-lock; then open it again",
                                cluster().location().spec()))
            : Error(ErrorKind::io,
                    name() + ": the feature exclusive-lock was added to it while it was "
                             "open, and it was opened without a lock",
                    "open it again"),
        false);
  }
  if (is_writable_ && is.size_bytes < known_bytes) {
    return give_up(Error(ErrorKind::io,
                         fmt::format("{}: it was made smaller while it was open: {} bytes of {}",
                                     name(), is.size_bytes, known_bytes),
                         "what was behind its end is gone: check it, or take a copy"),
                   false);
  }
  size_bytes_ = is.size_bytes;
  checked_at_ = asked_at;
  return {};
}

Result<std::uint64_t> RbdImage::known_size_bytes() {
  const Status usable = check_usable();
  return usable ? Result<std::uint64_t>(size_bytes_.load()) : usable.error();
}

Result<std::uint64_t> RbdImage::size_bytes() {
  Status done = check_usable();
  done = done ? check_unchanged() : done;
  return done ? Result<std::uint64_t>(size_bytes_.load()) : done.error();
}

Status RbdImage::run(std::span<const RbdRequest> requests) {
  Status done = check_usable();
  const Time begin = now();
  if (done && is_writable_ && begin - checked_at_.load() > recent_max) {
    done = check_unchanged();
  }
  if (!done) {
    return done;
  }
  const auto round = RbdRound::send(*handle_, requests);
  if (!round->wait_until(std::chrono::steady_clock::now() + cluster().patience())) {
    const bool only_reads =
        std::all_of(requests.begin(), requests.end(),
                    [](const RbdRequest& one) { return one.kind == RbdRequest::Kind::read; });
    return give_up(error(words_for(requests.front()), -ETIMEDOUT), !only_reads);
  }
  done = judge(requests, *round);
  if (done && is_locked_ && now() - begin > slow_min) {
    done = check_lock();
  }
  // Of what was on its way then nothing is acknowledged.
  return done && is_writable_ ? check_unchanged() : done;
}

std::string RbdImage::words_for(const RbdRequest& request) {
  return request.kind == RbdRequest::Kind::flush
             ? std::string("flush")
             : fmt::format("{} {} bytes at {}", verb_of_rbd(request.kind),
                           std::max(request.into.size(), request.from.size()),
                           request.offset_bytes);
}

Error RbdImage::error(std::string_view what, int result) const {
  if (result == -EROFS && is_locked_) { // librbd's word for who has it no more.
    return {ErrorKind::in_use,
            fmt::format("{}: cannot {}: its exclusive lock was lost", name(), what),
            "open it again only if it is this machine's turn; `rbd lock ls` names the owner"};
  }
  return cluster().error(what, result);
}

// Damage that a read has met is nobody's doubt: what lies elsewhere may be needed to mend it. A
// write that has failed may still be done, whatever the error: over two objects it has one answer
// of each, and librbd passes on the first.
Status RbdImage::judge(std::span<const RbdRequest> requests, const RbdRound& round) {
  Status first;
  for (std::size_t index = 0; index < requests.size(); ++index) {
    const RbdRequest& request = requests[index];
    const ssize_t result = round.result(index);
    const bool is_read = request.kind == RbdRequest::Kind::read;
    if (result < 0) {
      const int code = static_cast<int>(result);
      const Error why = error(words_for(request), code);
      const Status failed =
          is_read && code == -EIO ? Status(why) : give_up(why, !is_read && !is_fenced(code));
      first = first ? failed : first;
    } else if (is_read && static_cast<std::size_t>(result) != request.into.size()) {
      first = first ? Error(ErrorKind::io, fmt::format("{}: cannot {}: it ends before", name(),
                                                       words_for(request)))
                    : first;
    } else if (is_read) {
      std::memcpy(request.into.data(), round.read_bytes(index).data(), request.into.size());
    }
  }
  return first;
}

/// With the first cause, whoever comes later.
Status RbdImage::give_up(const Error& why, bool is_open_question) {
  Status first;
  {
    const std::lock_guard lock(mutex_);
    if (!given_up_) {
      given_up_.emplace(why);
    }
    first = *given_up_;
  }
  if (is_open_question && handle_->leave_open_question()) {
    // Now and not at the end: librbd may have the lock back by itself, and send what it still has.
    call_in_time(cluster().patience(), [handle = handle_] { return handle->fence_itself().ok(); });
  }
  return first;
}

// In time or not at all: then it is given up, because it may be locked later.
Status RbdImage::lock(const std::function<void(const std::string& what)>& note) {
  if (Status usable = check_usable(); !usable) {
    return usable;
  }
  const auto patience = cluster().timeout() + lock_patience;
  const auto holder = std::make_shared<RbdLockHolder>();
  SystemClock clock;
  AlarmClock alarm(clock, [&] {
    note(fmt::format("{}: waits for {}, which has its exclusive lock and does not answer, until "
                     "the cluster takes it for dead: 30 s where nothing else is set, {} s at most",
                     name(), holder->text(),
                     std::chrono::ceil<std::chrono::seconds>(patience).count()));
  });
  if (note) { // Without a thread nothing is said.
    static_cast<void>(alarm.set(clock.now() + silent_max));
  }
  const std::optional<Status> taken = call_in_time(
      patience, [handle = handle_, holder] { return take_rbd_lock(*handle, *holder); });
  if (!taken) {
    return give_up(rbd_error(name(), "take its exclusive lock", -ETIMEDOUT, patience), false);
  }
  is_locked_ = taken->ok();
  return *taken || taken->error().kind() != ErrorKind::io ? *taken : give_up(taken->error(), false);
}

Status RbdImage::shut_out_owner() {
  Status possible = check_usable();
  return possible ? shut_out_other_clients(handle_, has_lock_) : possible;
}

void RbdImage::unlock() {
  is_locked_ = false;
  if (!check_usable()) {
    return;
  }
  const std::optional<Status> released =
      call_in_time(cluster().patience(), [handle = handle_] { return give_rbd_lock_up(*handle); });
  if (!released || !*released) {
    static_cast<void>(give_up(released ? released->error()
                                       : cluster().error("give its exclusive lock up", -ETIMEDOUT),
                              false));
  }
}

// While one request took long.
Status RbdImage::check_lock() {
  const std::optional<Status> ours = call_in_time(cluster().patience(), [handle = handle_] {
    return check_rbd_lock(*handle, handle->cluster().timeout());
  });
  if (!ours) {
    return give_up(cluster().error("find out whether its exclusive lock is still ours", -ETIMEDOUT),
                   false);
  }
  return *ours ? *ours : give_up(ours->error(), false);
}

Status RbdImage::resize(std::uint64_t size_bytes) {
  if (Status usable = check_usable(); !usable) {
    return usable;
  }
  const std::optional<int> resized =
      call_in_time(cluster().patience(), [handle = handle_, size_bytes] {
        return handle->library().rbd_resize2(
            handle->image(), size_bytes, false,
            [](std::uint64_t /*done*/, std::uint64_t /*all*/, void* /*nothing*/) { return 0; },
            nullptr);
      });
  const int result = resized.value_or(-ETIMEDOUT);
  if (result < 0) { // One that is done later would undo what the next owner has made of it.
    return give_up(error(fmt::format("grow to {} bytes", size_bytes), result),
                   result == -ETIMEDOUT);
  }
  return check_unchanged();
}

} // namespace vnvram
