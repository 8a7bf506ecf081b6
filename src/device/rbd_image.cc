#include "device/rbd_image.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "device/rbd_error.h"

namespace vnvram {
namespace {

// librados gives up first, and says so; this is for what waits for something else.
constexpr std::chrono::seconds grace{2};
constexpr const char* cache_option = "rbd_cache";

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
  std::unique_ptr<RbdImage> image(new RbdImage(std::move(cluster)));
  const RbdCluster& there = *image->cluster_;
  const auto open_by =
      access == Access::read_write ? there.library().rbd_open : there.library().rbd_open_read_only;
  const int opened = open_by(there.pool(), location.image.c_str(), &image->image_,
                             is_snapshot ? location.snapshot.c_str() : nullptr);
  if (opened == -ENOENT) {
    image->image_ = nullptr;
    return Error(
        ErrorKind::absent, fmt::format("{}: there is no image {}", there.name(), location.spec()),
        "`rbd ls POOL` names those that there are, `rbd snap ls` their snapshots; `create` "
        "makes an image");
  }
  if (opened < 0) {
    image->image_ = nullptr;
    return there.error("open the image " + location.spec(), opened);
  }
  Status done = image->learn();
  if (done && access == Access::read_write) {
    done = image->check_cache();
  }
  return done ? Result<std::unique_ptr<RbdImage>>(std::move(image)) : done.error();
}

RbdImage::~RbdImage() {
  if (image_ == nullptr || !cluster_->is_in_its_process()) {
    return;
  }
  if (is_open_question_) {
    cluster_->fence_itself();
  }
  cluster_->library().rbd_close(image_); // Waits for what is under way; gives the lock up.
}

Status RbdImage::learn() {
  std::uint64_t features = 0;
  const int found = cluster_->library().rbd_get_features(image_, &features);
  if (found < 0) {
    return cluster_->error("find out about it", found);
  }
  has_lock_ = (features & RBD_FEATURE_EXCLUSIVE_LOCK) != 0;
  return {};
}

// What is set for an image or its pool (`rbd config`) counts more than what a client has set.
Status RbdImage::check_cache() {
  const RbdLibrary& library = cluster_->library();
  int count = 0;
  std::vector<rbd_config_option_t> options;
  int listed = -ERANGE;
  while (listed == -ERANGE) {
    count = std::max(64, 2 * std::max(count, static_cast<int>(options.size())));
    options.resize(static_cast<std::size_t>(count));
    listed = library.rbd_config_image_list(image_, options.data(), &count);
  }
  if (listed < 0) {
    return cluster_->error("find out about its settings", listed);
  }
  const auto end = options.begin() + count;
  const auto cache = std::find_if(options.begin(), end, [](const rbd_config_option_t& option) {
    return std::string_view(option.name) == cache_option;
  });
  const bool is_off = cache == end || std::string_view(cache->value) == "false";
  const bool is_of_image = cache != end && cache->source == RBD_CONFIG_SOURCE_IMAGE;
  library.rbd_config_image_list_cleanup(options.data(), count);
  if (is_off) {
    return {};
  }
  const RbdLocation& location = cluster_->location();
  return Error(ErrorKind::unsupported,
               fmt::format("{}: {} is set for {}, and with it librbd calls durable what is not",
                           name(), cache_option, is_of_image ? "the image" : "its pool"),
               is_of_image ? fmt::format("rbd config image rm {} {}", location.spec(), cache_option)
                           : fmt::format("rbd config pool rm {} {}", location.pool, cache_option));
}

Result<std::uint64_t> RbdImage::size_bytes() const {
  if (!cluster_->is_in_its_process()) {
    return Error(ErrorKind::unsupported, name() + ": it was opened by the process's parent");
  }
  std::uint64_t size = 0;
  const int found = cluster_->library().rbd_get_size(image_, &size);
  return found < 0 ? Result<std::uint64_t>(cluster_->error("find out its size", found)) : size;
}

Status RbdImage::check_usable() {
  if (!cluster_->is_in_its_process()) {
    return Error(ErrorKind::unsupported,
                 name() + ": it was opened by the process's parent, and librbd does not take part "
                          "in a fork",
                 "open it in the process that uses it");
  }
  const std::lock_guard lock(mutex_);
  return given_up_ ? Status(*given_up_) : Status();
}

int RbdImage::send(const RbdRequest& request, const std::shared_ptr<Round>& round,
                   std::size_t index) {
  const RbdLibrary& library = cluster_->library();
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
    result = library.rbd_aio_read(image_, request.offset_bytes, length_bytes, bytes, completion);
    break;
  case RbdRequest::Kind::write:
    result = library.rbd_aio_write(image_, request.offset_bytes, length_bytes, bytes, completion);
    break;
  case RbdRequest::Kind::flush: result = library.rbd_aio_flush(image_, completion); break;
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
  const auto deadline = std::chrono::steady_clock::now() + cluster_->timeout() + grace;
  std::unique_lock lock(round->mutex);
  const bool is_complete =
      round->answered.wait_until(lock, deadline, [&] { return round->pending == 0; });
  if (!is_complete) {
    return give_up(cluster_->error(words_for(requests.front()), -ETIMEDOUT), true);
  }
  return judge(requests, *round);
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
    const Error error = cluster_->error(words_for(request), static_cast<int>(result));
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
  is_open_question_ = is_open_question_ || is_open_question;
  if (!given_up_) {
    given_up_.emplace(error);
  }
  return *given_up_;
}

Error RbdImage::locked_by_another(int result) const {
  Error error = cluster_->error("take its exclusive lock", result);
  if (error.kind() != ErrorKind::in_use || is_fenced(result)) {
    return error;
  }
  std::array<char, 256> tag{};
  std::array<char, 1024> clients{};
  std::array<char, 1024> cookies{};
  std::array<char, 1024> addresses{};
  std::size_t tag_size = tag.size();
  std::size_t clients_size = clients.size();
  std::size_t cookies_size = cookies.size();
  std::size_t addresses_size = addresses.size();
  int is_exclusive = 0;
  const ssize_t count = cluster_->library().rbd_list_lockers(
      image_, &is_exclusive, tag.data(), &tag_size, clients.data(), &clients_size, cookies.data(),
      &cookies_size, addresses.data(), &addresses_size);
  if (count <= 0) {
    return error;
  }
  return {
      ErrorKind::in_use,
      fmt::format("{}: {} at {} has its exclusive lock", name(), clients.data(), addresses.data()),
      "end that owner first; reading beside it is possible"};
}

Status RbdImage::lock() {
  if (Status usable = check_usable(); !usable) {
    return usable;
  }
  const int result = cluster_->library().rbd_lock_acquire(image_, RBD_LOCK_MODE_EXCLUSIVE);
  return result < 0 ? Status(locked_by_another(result)) : Status();
}

void RbdImage::unlock() {
  if (check_usable()) {
    cluster_->library().rbd_lock_release(image_);
  }
}

Status RbdImage::resize(std::uint64_t size_bytes) {
  if (Status usable = check_usable(); !usable) {
    return usable;
  }
  const int result = cluster_->library().rbd_resize2(
      image_, size_bytes, false,
      [](std::uint64_t /*done*/, std::uint64_t /*all*/, void* /*nothing*/) { return 0; }, nullptr);
  return result < 0 ? Status(cluster_->error(fmt::format("grow to {} bytes", size_bytes), result))
                    : Status();
}

} // namespace vnvram
