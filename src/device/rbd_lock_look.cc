#include "device/rbd_lock_look.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include <fmt/core.h>

#include "device/rbd_cluster.h"
#include "device/rbd_image.h"
#include "device/rbd_location.h"

namespace vnvram {
namespace {

// Each process that has it open for writing is one.
constexpr std::size_t watcher_count_max = 64;

/// Whether the cluster hears of a client at this address that has the image open.
Result<bool> is_alive(const RbdImage& image, const std::string& address) {
  const RbdHandle& handle = image.handle();
  std::array<rbd_image_watcher_t, watcher_count_max> watchers{};
  std::size_t count = watchers.size();
  const int found = handle.library().rbd_watchers_list(handle.image(), watchers.data(), &count);
  if (found < 0) {
    return handle.cluster().error("find out who has it open", found);
  }
  const bool is_among =
      std::ranges::any_of(std::span(watchers).first(count),
                          [&](const rbd_image_watcher_t& each) { return each.addr == address; });
  handle.library().rbd_watchers_list_cleanup(watchers.data(), count);
  return is_among;
}

} // namespace

Status look_at_rbd_lock(const std::string& location, std::chrono::milliseconds timeout) {
  const Result<RbdLocation> where = RbdLocation::parse(location);
  auto cluster = where ? RbdCluster::connect(*where, timeout) : where.error();
  auto opened = cluster ? RbdImage::open(*std::move(cluster), Access::read_only) : cluster.error();
  if (!opened) {
    return opened.error();
  }
  const RbdImage& image = **opened;
  if (!image.has_lock()) {
    return Error(ErrorKind::unsupported,
                 image.name() + ": it has no lock to look at: its feature exclusive-lock is off");
  }
  const Result<std::optional<RbdImage::Locker>> found = image.locker();
  if (!found || !*found) {
    return found ? Status() : found.error();
  }
  const RbdImage::Locker& locker = **found;
  const Result<bool> has_it =
      locker.is_by_hand() ? Result<bool>(true) : is_alive(image, locker.address);
  if (!has_it) {
    return has_it.error();
  }
  return *has_it
             ? Error(ErrorKind::in_use, fmt::format("{}: {} at {} has its exclusive lock",
                                                    image.name(), locker.client, locker.address))
             : Status();
}

} // namespace vnvram
