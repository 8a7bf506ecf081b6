#include "device/rbd_image.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "device/call_in_time.h"
#include "device/rbd_error.h"
#include "device/rbd_fence.h"
#include "device/rbd_settings.h"

namespace vnvram {
namespace {

// librados gives up first, and says so; this is for what waits for something else.
constexpr std::chrono::seconds grace{2};
// For the cluster to find out that the lock's owner has died (30 s where nothing is said), for that
// owner to be shut out, and for librbd, which asks it a few times first.
constexpr std::chrono::seconds lock_patience{90};
// What librbd calls the locks that are its own; others are of `rbd lock add`.
constexpr std::string_view librbd_tag = "internal";

const char* verb(RbdRequest::Kind kind) {
  switch (kind) {
  case RbdRequest::Kind::read: return "read";
  case RbdRequest::Kind::write: return "write";
  case RbdRequest::Kind::flush: break;
  }
  return "flush";
}

} // namespace

/// What one call has under way. librbd may come back to it after the call has given up.
struct RbdImage::Round {
  explicit Round(std::size_t count) : pending(count), results(count, 0), read_bytes(count) {}
  std::mutex mutex;
  std::condition_variable answered;
  std::size_t pending;
  std::vector<ssize_t> results;
  std::vector<std::vector<std::byte>> read_bytes;
};

/// One request of it. Its bytes are its own: librbd may use them when nobody waits any more.
struct RbdImage::UnderWay {
  std::shared_ptr<Round> round;
  std::size_t index = 0;
  std::vector<std::byte> bytes;
  const RbdLibrary* library = nullptr;
};

// On a thread of librbd's.
void RbdImage::answered(rbd_completion_t completion, void* under_way) {
  const std::unique_ptr<UnderWay> request(static_cast<UnderWay*>(under_way));
  const ssize_t result = request->library->rbd_aio_get_return_value(completion);
  request->library->rbd_aio_release(completion);
  Round& round = *request->round;
  const std::lock_guard lock(round.mutex);
  round.results[request->index] = result;
  round.read_bytes[request->index] = std::move(request->bytes);
  if (--round.pending == 0) {
    round.answered.notify_all();
  }
}

Result<std::unique_ptr<RbdImage>> RbdImage::open(std::unique_ptr<RbdCluster> cluster,
                                                 Access access) {
  const RbdLocation& location = cluster->location();
  const bool is_snapshot = !location.snapshot.empty();
  if (is_snapshot && access == Access::read_write) {
    return Error(ErrorKind::read_only, cluster->name() + ": a snapshot cannot be written to",
                 "`rbd clone` makes an image of it that can; or open it read-only");
  }
  const auto open_by = access == Access::read_write ? cluster->library().rbd_open
                                                    : cluster->library().rbd_open_read_only;
  rbd_image_t opened_image = nullptr;
  const int opened = open_by(cluster->pool(), location.image.c_str(), &opened_image,
                             is_snapshot ? location.snapshot.c_str() : nullptr);
  if (opened == -ENOENT) {
    return Error(
        ErrorKind::absent,
        fmt::format("{}: there is no image {}", cluster->name(), location.spec()),
        "`rbd ls POOL` names those that there are, `rbd snap ls` their snapshots; `create` "
        "makes an image");
  }
  if (opened < 0) {
    return cluster->error("open the image " + location.spec(), opened);
  }
  std::unique_ptr<RbdImage> image(
      new RbdImage(std::make_shared<RbdHandle>(std::move(cluster), opened_image)));
  Status done = image->learn();
  image->needs_lock_ = image->has_lock_ && access == Access::read_write;
  if (done && access == Access::read_write) {
    done = check_rbd_settings(*image->handle_);
  }
  return done ? Result<std::unique_ptr<RbdImage>>(std::move(image)) : done.error();
}

RbdImage::~RbdImage() {
  if (!cluster().is_in_its_process()) {
    return;
  }
  const auto patience = cluster().timeout() + grace;
  call_in_time(patience, [handle = std::move(handle_)]() mutable {
    handle.reset();
    return 0;
  });
}

Status RbdImage::learn() {
  std::uint64_t features = 0;
  const int found = cluster().library().rbd_get_features(handle_->image(), &features);
  if (found < 0) {
    return cluster().error("find out about it", found);
  }
  has_lock_ = (features & RBD_FEATURE_EXCLUSIVE_LOCK) != 0;
  return {};
}

Result<std::uint64_t> RbdImage::size_bytes() const {
  if (!cluster().is_in_its_process()) {
    return Error(ErrorKind::unsupported, name() + ": it was opened by the process's parent");
  }
  std::uint64_t size = 0;
  const int found = cluster().library().rbd_get_size(handle_->image(), &size);
  return found < 0 ? Result<std::uint64_t>(cluster().error("find out its size", found)) : size;
}

Status RbdImage::check_usable() {
  if (!cluster().is_in_its_process()) {
    return Error(ErrorKind::unsupported,
                 name() + ": it was opened by the process's parent, and librbd does not take part "
                          "in a fork",
                 "open it in the process that uses it");
  }
  {
    const std::lock_guard lock(mutex_);
    if (given_up_) {
      return *given_up_;
    }
  }
  return check_lock_feature();
}

// Whoever takes the feature away (`rbd feature disable`) takes the lock away, and librbd goes on
// writing without it, for us as for everybody else. It has heard of that; nothing is asked for.
Status RbdImage::check_lock_feature() {
  if (!needs_lock_) {
    return {};
  }
  std::uint64_t features = 0;
  const int found = cluster().library().rbd_get_features(handle_->image(), &features);
  if (found < 0) {
    return give_up(cluster().error("find out whether it has its lock", found), false);
  }
  if ((features & RBD_FEATURE_EXCLUSIVE_LOCK) != 0) {
    return {};
  }
  return give_up(Error(ErrorKind::io,
                       name() +
                           ": its feature exclusive-lock was taken away while it was open, and "
                           "with it the lock that keeps others from writing",
                       fmt::format("rbd feature enable {} exclusive-lock; then open it again",
                                   cluster().location().spec())),
                 false);
}

int RbdImage::send(const RbdRequest& request, const std::shared_ptr<Round>& round,
                   std::size_t index) {
  const RbdLibrary& library = cluster().library();
  auto under_way = std::make_unique<UnderWay>();
  under_way->round = round;
  under_way->index = index;
  under_way->library = &library;
  if (request.kind == RbdRequest::Kind::write) {
    under_way->bytes.assign(request.from.begin(), request.from.end());
  } else {
    under_way->bytes.resize(request.into.size());
  }
  rbd_completion_t completion = nullptr;
  if (const int made = library.rbd_aio_create_completion(under_way.get(), answered, &completion);
      made < 0) {
    return made;
  }
  UnderWay* const sent = under_way.release(); // answered() takes it back.
  char* const bytes = reinterpret_cast<char*>(sent->bytes.data());
  const std::size_t length_bytes = sent->bytes.size();
  int result = 0;
  switch (request.kind) {
  case RbdRequest::Kind::read:
    result = library.rbd_aio_read(handle_->image(), request.offset_bytes, length_bytes, bytes,
                                  completion);
    break;
  case RbdRequest::Kind::write:
    result = library.rbd_aio_write(handle_->image(), request.offset_bytes, length_bytes, bytes,
                                   completion);
    break;
  case RbdRequest::Kind::flush: result = library.rbd_aio_flush(handle_->image(), completion); break;
  }
  if (result < 0) { // Then it is not called.
    under_way.reset(sent);
    library.rbd_aio_release(completion);
  }
  return result;
}

Status RbdImage::run(std::span<const RbdRequest> requests) {
  if (Status usable = check_usable(); !usable) {
    return usable;
  }
  const auto round = std::make_shared<Round>(requests.size());
  for (std::size_t index = 0; index < requests.size(); ++index) {
    if (const int sent = send(requests[index], round, index); sent < 0) {
      const std::lock_guard lock(round->mutex);
      round->results[index] = sent;
      --round->pending;
    }
  }
  const auto deadline = std::chrono::steady_clock::now() + cluster().timeout() + grace;
  std::unique_lock lock(round->mutex);
  const bool is_complete =
      round->answered.wait_until(lock, deadline, [&] { return round->pending == 0; });
  if (!is_complete) {
    return give_up(cluster().error(words_for(requests.front()), -ETIMEDOUT), true);
  }
  Status done = judge(requests, *round);
  return done ? check_lock_feature() : done; // Of what was on its way then nothing is acknowledged.
}

std::string RbdImage::words_for(const RbdRequest& request) const {
  return request.kind == RbdRequest::Kind::flush
             ? std::string("flush")
             : fmt::format("{} {} bytes at {}", verb(request.kind),
                           std::max(request.into.size(), request.from.size()),
                           request.offset_bytes);
}

// Damage that a read has met is nobody's doubt: what lies elsewhere may be needed to mend it.
Status RbdImage::judge(std::span<const RbdRequest> requests, Round& round) {
  Status first;
  for (std::size_t index = 0; index < requests.size(); ++index) {
    const RbdRequest& request = requests[index];
    const ssize_t result = round.results[index];
    const bool is_read = request.kind == RbdRequest::Kind::read;
    if (result >= 0) {
      // An image that was made smaller meanwhile: a short read.
      if (is_read && static_cast<std::size_t>(result) != request.into.size()) {
        first = first ? Error(ErrorKind::io, fmt::format("{}: cannot {}: it ends before", name(),
                                                         words_for(request)))
                      : first;
      } else if (is_read) {
        std::memcpy(request.into.data(), round.read_bytes[index].data(), request.into.size());
      }
      continue;
    }
    const Error error = cluster().error(words_for(request), static_cast<int>(result));
    const Status failed = is_read && result == -EIO
                              ? Status(error)
                              : give_up(error, !is_read && result == -ETIMEDOUT);
    first = first ? failed : first;
  }
  return first;
}

/// With the first cause, whoever comes later.
Status RbdImage::give_up(const Error& error, bool is_open_question) {
  const std::lock_guard lock(mutex_);
  if (is_open_question) {
    handle_->has_open_question();
  }
  if (!given_up_) {
    given_up_.emplace(error);
  }
  return *given_up_;
}

struct RbdImage::Locker {
  std::string tag;
  std::string client;
  std::string address;
};

Result<std::optional<RbdImage::Locker>> RbdImage::locker() const {
  std::array<char, 256> tag{};
  std::array<char, 1024> clients{};
  std::array<char, 1024> cookies{};
  std::array<char, 1024> addresses{};
  std::size_t tag_size = tag.size();
  std::size_t clients_size = clients.size();
  std::size_t cookies_size = cookies.size();
  std::size_t addresses_size = addresses.size();
  int is_exclusive = 0;
  const ssize_t count = cluster().library().rbd_list_lockers(
      handle_->image(), &is_exclusive, tag.data(), &tag_size, clients.data(), &clients_size,
      cookies.data(), &cookies_size, addresses.data(), &addresses_size);
  if (count < 0 && count != -ENOENT) {
    return cluster().error("find out who has its lock", static_cast<int>(count));
  }
  std::optional<Locker> found;
  if (count > 0) {
    found = Locker{.tag = tag.data(), .client = clients.data(), .address = addresses.data()};
  }
  return found;
}

Error RbdImage::locked_by_another(int result) const {
  Error error = cluster().error("take its exclusive lock", result);
  if (error.kind() != ErrorKind::in_use || is_fenced(result)) {
    return error;
  }
  const Result<std::optional<Locker>> found = locker();
  const std::optional<Locker> other = found ? *found : std::nullopt;
  return other ? Error(ErrorKind::in_use,
                       fmt::format("{}: {} at {} has its exclusive lock", name(), other->client,
                                   other->address),
                       "end that owner first; reading beside it is possible")
               : error;
}

// librbd waits without end for who has locked it by hand, and holds no watch that could time out.
Status RbdImage::check_lockers() const {
  const Result<std::optional<Locker>> found = locker();
  if (!found) {
    return found.error();
  }
  const std::optional<Locker>& other = *found;
  if (!other || other->tag == librbd_tag) {
    return {};
  }
  return Error(ErrorKind::in_use,
               fmt::format("{}: {} at {} has locked it by hand{}{}", name(), other->client,
                           other->address, other->tag.empty() ? "" : ", as ", other->tag),
               fmt::format("`rbd lock ls {0}` shows the lock, `rbd lock rm {0} ID LOCKER` takes it "
                           "away",
                           cluster().location().spec()));
}

// In time or not at all: then it is given up, because it may be locked later.
Status RbdImage::lock() {
  Status possible = check_usable();
  possible = possible ? check_lockers() : possible;
  if (!possible) {
    return possible;
  }
  const auto patience = cluster().timeout() + lock_patience;
  const std::optional<int> result = call_in_time(patience, [handle = handle_] {
    return handle->library().rbd_lock_acquire(handle->image(), RBD_LOCK_MODE_EXCLUSIVE);
  });
  if (!result) {
    return give_up(rbd_error(name(), "take its exclusive lock", -ETIMEDOUT, patience), false);
  }
  return *result < 0 ? Status(locked_by_another(*result)) : Status();
}

Status RbdImage::shut_out_owner() {
  Status possible = check_usable();
  return possible ? shut_out_other_clients(handle_, has_lock_) : possible;
}

void RbdImage::unlock() {
  if (!check_usable()) {
    return;
  }
  const std::optional<int> result = call_in_time(cluster().timeout() + grace, [handle = handle_] {
    return handle->library().rbd_lock_release(handle->image());
  });
  if (!result) {
    static_cast<void>(give_up(cluster().error("give its exclusive lock up", -ETIMEDOUT), false));
  }
}

Status RbdImage::resize(std::uint64_t size_bytes) {
  if (Status usable = check_usable(); !usable) {
    return usable;
  }
  const int result = cluster().library().rbd_resize2(
      handle_->image(), size_bytes, false,
      [](std::uint64_t /*done*/, std::uint64_t /*all*/, void* /*nothing*/) { return 0; }, nullptr);
  return result < 0 ? Status(cluster().error(fmt::format("grow to {} bytes", size_bytes), result))
                    : Status();
}

} // namespace vnvram
