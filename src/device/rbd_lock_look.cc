#include "device/rbd_lock_look.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <fmt/core.h>

#include "device/call_in_time.h"
#include "device/rbd_cluster.h"
#include "device/rbd_error.h"
#include "device/rbd_location.h"

namespace vnvram {
namespace {

// Each process that has it open for writing is one.
constexpr std::size_t watcher_count_max = 64;
// To connect, and to ask, one after the other: librados gives up first, and says so.
constexpr unsigned deadline_count = 4;

struct SeenLocker {
  std::string client;
  std::string address;
  bool is_by_hand = false; ///< By `rbd lock add`: librbd has its own tag for its own locks.
};

/// Opened to be looked at, which nobody is asked for.
class LookedAtImage {
public:
  explicit LookedAtImage(const RbdCluster& cluster) : cluster_(cluster) {}
  LookedAtImage(const LookedAtImage&) = delete;
  LookedAtImage& operator=(const LookedAtImage&) = delete;
  ~LookedAtImage() {
    if (image_ != nullptr) {
      library().rbd_close(image_);
    }
  }

  Status look() {
    Status done = open();
    done = done ? check_feature() : done;
    const Result<std::optional<SeenLocker>> seen =
        done ? locker() : Result<std::optional<SeenLocker>>(done.error());
    if (!seen || !*seen) {
      return seen ? Status() : Status(seen.error());
    }
    const Result<bool> has_it = (*seen)->is_by_hand ? true : is_alive((*seen)->address);
    if (!has_it || !*has_it) {
      return has_it ? Status() : Status(has_it.error());
    }
    return Error(ErrorKind::in_use,
                 fmt::format("{}: {} at {} has its exclusive lock", cluster_.name(),
                             (*seen)->client, (*seen)->address));
  }

private:
  [[nodiscard]] const RbdLibrary& library() const { return cluster_.library(); }

  Status open() {
    const RbdLocation& where = cluster_.location();
    const int opened =
        library().rbd_open_read_only(cluster_.pool(), where.image.c_str(), &image_,
                                     where.snapshot.empty() ? nullptr : where.snapshot.c_str());
    return opened < 0 ? Status(cluster_.error("open the image " + where.spec(), opened)) : Status();
  }

  [[nodiscard]] Status check_feature() const {
    std::uint64_t features = 0;
    const int found = library().rbd_get_features(image_, &features);
    if (found < 0) {
      return cluster_.error("find out about it", found);
    }
    return (features & RBD_FEATURE_EXCLUSIVE_LOCK) != 0
               ? Status()
               : Error(ErrorKind::unsupported,
                       cluster_.name() + ": it has no lock to look at: its feature exclusive-lock "
                                         "is off");
  }

  [[nodiscard]] Result<std::optional<SeenLocker>> locker() const {
    std::array<char, 256> tag{};
    std::array<char, 4096> clients{};
    std::array<char, 4096> cookies{};
    std::array<char, 4096> addresses{};
    std::size_t tag_size = tag.size();
    std::size_t clients_size = clients.size();
    std::size_t cookies_size = cookies.size();
    std::size_t addresses_size = addresses.size();
    int is_exclusive = 0;
    const ssize_t count = library().rbd_list_lockers(
        image_, &is_exclusive, tag.data(), &tag_size, clients.data(), &clients_size, cookies.data(),
        &cookies_size, addresses.data(), &addresses_size);
    if (count < 0 && count != -ENOENT) {
      return cluster_.error("find out who has its lock", static_cast<int>(count));
    }
    std::optional<SeenLocker> seen;
    if (count > 0) {
      seen = SeenLocker{.client = clients.data(),
                        .address = addresses.data(),
                        .is_by_hand = std::string_view(tag.data()) != "internal"};
    }
    return seen;
  }

  /// Whether the cluster hears of a client at this address that has the image open.
  [[nodiscard]] Result<bool> is_alive(const std::string& address) const {
    std::array<rbd_image_watcher_t, watcher_count_max> watchers{};
    std::size_t count = watchers.size();
    const int found = library().rbd_watchers_list(image_, watchers.data(), &count);
    if (found < 0) {
      return cluster_.error("find out who has it open", found);
    }
    const bool is_among =
        std::ranges::any_of(std::span(watchers).first(count),
                            [&](const rbd_image_watcher_t& each) { return each.addr == address; });
    library().rbd_watchers_list_cleanup(watchers.data(), count);
    return is_among;
  }

  const RbdCluster& cluster_;
  rbd_image_t image_ = nullptr;
};

Status look_at_lock_of(const RbdLocation& location, std::chrono::milliseconds timeout) {
  const auto cluster = RbdCluster::connect(location, timeout);
  return cluster ? LookedAtImage(**cluster).look() : cluster.error();
}

} // namespace

Status look_at_rbd_lock(const std::string& location, std::chrono::milliseconds timeout) {
  const Result<RbdLocation> where = RbdLocation::parse(location);
  if (!where) {
    return where.error();
  }
  const auto looked = std::make_shared<Status>();
  const bool is_done = call_in_time(deadline_count * timeout, [looked, where = *where, timeout] {
                         *looked = look_at_lock_of(where, timeout);
                         return 0;
                       }).has_value();
  return is_done ? *looked : rbd_error(location, "look at its lock", -ETIMEDOUT, timeout);
}

} // namespace vnvram
