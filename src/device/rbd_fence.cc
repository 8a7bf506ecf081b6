#include "device/rbd_fence.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <string>

#include <fmt/core.h>

#include "device/call_in_time.h"
#include "device/rbd_cluster.h"
#include "device/rbd_handle.h"
#include "device/rbd_lockers.h"
#include "vnvram/block_device.h"

namespace vnvram {
namespace {

// An image has a few; those of `rbd lock add --shared` are others'.
constexpr std::size_t clients_max = 64;
// Until the monitors have agreed and the map is here, each of which librados waits for.
constexpr int waits = 4;

/// Addresses of clients, as the blocklist takes them, or what failed.
using Addresses = std::set<std::string>;

int find_lockers(const RbdHandle& handle, const std::string& own, Addresses& found) {
  RbdLockers lockers;
  if (const int listed = find_rbd_lockers(handle.library(), handle.image(), lockers); listed < 0) {
    return listed;
  }
  for (const RbdLockers::Locker& locker : lockers.lockers) {
    if (locker.client != own) {
      found.insert(locker.address);
    }
  }
  return 0;
}

int find_watchers(const RbdHandle& handle, std::uint64_t own, Addresses& found) {
  std::array<rbd_image_watcher_t, clients_max> watchers{};
  std::size_t count = watchers.size();
  const int listed = handle.library().rbd_watchers_list(handle.image(), watchers.data(), &count);
  if (listed < 0) {
    return listed;
  }
  for (const rbd_image_watcher_t& watcher : std::span(watchers).first(count)) {
    if (static_cast<std::uint64_t>(watcher.id) != own) {
      found.insert(watcher.addr);
    }
  }
  handle.library().rbd_watchers_list_cleanup(watchers.data(), count);
  return 0;
}

/// An OSD that has not heard of the map yet still does what the shut out ask for; it hears of it
/// by the first request of a client that has it. Each object's OSD gets one.
int touch_all_objects(const RbdHandle& handle) {
  rbd_image_info_t info{};
  if (const int found = handle.library().rbd_stat(handle.image(), &info, sizeof(info)); found < 0) {
    return found;
  }
  std::array<char, block_size_bytes> block{};
  const std::uint64_t step_bytes = std::max<std::uint64_t>(info.obj_size, block.size());
  for (std::uint64_t offset_bytes = 0; offset_bytes < info.size; offset_bytes += step_bytes) {
    const std::size_t length_bytes =
        std::min<std::uint64_t>(block.size(), info.size - offset_bytes);
    const ssize_t read =
        handle.library().rbd_read(handle.image(), offset_bytes, length_bytes, block.data());
    if (read < 0) {
      return static_cast<int>(read);
    }
  }
  return 0;
}

int shut_out(RbdHandle& handle, bool by_lock) {
  RbdCluster& cluster = handle.cluster();
  const std::uint64_t own = cluster.instance();
  Addresses found;
  int done = by_lock ? find_lockers(handle, fmt::format("client.{}", own), found)
                     : find_watchers(handle, own, found);
  for (auto address = found.begin(); done >= 0 && address != found.end(); ++address) {
    done = cluster.shut_out(*address);
  }
  if (done >= 0 && !found.empty()) {
    done = cluster.wait_for_map();
    done = done < 0 ? done : touch_all_objects(handle);
  }
  return done;
}

} // namespace

Status shut_out_other_clients(const std::shared_ptr<RbdHandle>& handle, bool by_lock) {
  const RbdCluster& cluster = handle->cluster();
  const std::optional<int> done = call_in_time(
      waits * cluster.timeout(), [handle, by_lock] { return shut_out(*handle, by_lock); });
  if (!done || *done < 0) {
    return cluster.error("have the cluster shut its owner out", done.value_or(-ETIMEDOUT));
  }
  return {};
}

} // namespace vnvram
