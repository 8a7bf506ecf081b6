#include "device/rbd_lock_look.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <span>
#include <string>

#include <fmt/core.h>

#include "device/call_in_time.h"
#include "device/rbd_cluster.h"
#include "device/rbd_error.h"
#include "device/rbd_location.h"
#include "device/rbd_lockers.h"

namespace vnvram {
namespace {

// Each process that has it open for writing is one.
constexpr std::size_t watcher_count_max = 64;
// To connect, and to ask, one after the other: librados gives up first, and says so.
constexpr unsigned deadline_count = 4;

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
    RbdLockers found;
    const int listed = done ? find_rbd_lockers(library(), image_, found) : 0;
    if (listed < 0) {
      return cluster_.error("find out who has its lock", listed);
    }
    if (found.lockers.empty()) {
      return done;
    }
    const RbdLockers::Locker& locker = found.lockers.front();
    const Result<bool> has_it = found.are_librbds() ? is_alive(locker.address) : Result<bool>(true);
    if (!has_it || !*has_it) {
      return has_it ? Status() : Status(has_it.error());
    }
    return Error(ErrorKind::in_use, fmt::format("{}: {} at {} has its exclusive lock",
                                                cluster_.name(), locker.client, locker.address));
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
