#include "device/place_probe.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file_error.h"
#include "device/file_device.h"
#include "device/file_lock.h"
#include "device/file_space.h"
#include "device/location.h"
#include "device/opened_file.h"
#include "device/rbd_lock_look.h"

namespace vnvram {
namespace {

using Clock = std::chrono::steady_clock;
using Times = std::vector<std::chrono::nanoseconds>;

constexpr unsigned measured_count = 32;
// Of a slow place a few are enough.
constexpr unsigned measured_min_count = 3;
constexpr std::chrono::milliseconds measuring_max{500};
constexpr std::uint64_t probe_size_bytes = std::uint64_t{16} * block_size_bytes;

Error cannot_tell(const std::string& location, std::string_view what) {
  return {ErrorKind::unsupported, fmt::format("{}: {}", location, what)};
}

Result<OpenedFile> open_to_look(const std::string& location) {
  return descriptor_of(location) ? open_descriptor(location, Access::read_only)
                                 : open_file(location, Access::read_only);
}

/// Carries `once` out until that is enough.
template <typename Once>
Result<MeasuredDurability> measure_times(const char* what, const Once& once) {
  Times times;
  const Clock::time_point until = Clock::now() + measuring_max;
  while (times.size() < measured_count &&
         (times.size() < measured_min_count || Clock::now() < until)) {
    const Clock::time_point before = Clock::now();
    if (const Status done = once(times.size()); !done) {
      return done.error();
    }
    times.push_back(Clock::now() - before);
  }
  std::ranges::sort(times);
  return MeasuredDurability{.what = what,
                            .count = static_cast<unsigned>(times.size()),
                            .median = times.at(times.size() / 2),
                            .longest = times.back()};
}

bool is_in_memory(int fd) {
  struct statfs system = {};
  return ::fstatfs(fd, &system) == 0 &&
         (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC);
}

// As a commit does it.
Result<MeasuredDurability> measure_overwriting(BlockDevice& device) {
  const std::vector<std::byte> block(block_size_bytes, std::byte{0x5a});
  Status done = device.resize(probe_size_bytes);
  for (std::uint64_t at = 0; done && at < probe_size_bytes; at += block_size_bytes) {
    done = device.write_durable(at, block);
  }
  return done ? measure_times(MeasuredDurability::beside,
                              [&](std::size_t turn) {
                                return device.write_durable(
                                    turn * block_size_bytes % probe_size_bytes, block);
                              })
              : Result<MeasuredDurability>(done.error());
}

Result<MeasuredDurability> measure_beside(const std::string& location) {
  std::error_code failed;
  const std::filesystem::path folder =
      std::filesystem::canonical(location, failed).parent_path(); // Not a link's.
  UniqueFd file(failed ? -1 : ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file.valid()) {
    return cannot_tell(location, "no file can be made beside it to measure with");
  }
  const bool in_memory = is_in_memory(file.get());
  auto device = FileDevice::of_open_file({.fd = std::move(file)}, location, Access::read_write);
  auto measured = device ? measure_overwriting(**device) : device.error();
  if (!measured) { // The image's own blocks may be all right: it has its space, for one.
    return cannot_tell(location, fmt::format("nothing can be measured with a file beside it: {}",
                                             measured.error().cause()));
  }
  measured->volatile_place = in_memory;
  return measured;
}

Result<MeasuredDurability> measure_flush(const std::string& location, int fd) {
  return measure_times(MeasuredDurability::flush, [&](std::size_t /*turn*/) -> Status {
    return ::fsync(fd) == 0 ? Status()
                            : Error(ErrorKind::io, fmt::format("{}: cannot flush: {}", location,
                                                               error_reason(errno)));
  });
}

} // namespace

Status look_for_owner(const std::string& location, const DeviceOptions& options) {
  if (scheme_of(location) == LocationScheme::rbd) {
    return look_at_rbd_lock(location, options.timeout);
  }
  if (is_served(location)) {
    return cannot_tell(location, "an NBD export has no locks to look at");
  }
  const Result<OpenedFile> file = open_to_look(location);
  return file ? look_at_lock(file->fd.get(), location) : Status(file.error());
}

Status look_for_rights(const std::string& location, const DeviceOptions& options) {
  if (is_served(location)) {
    const auto device = open_device(location, Access::read_write, options);
    return device ? Status() : device.error();
  }
  if (descriptor_of(location)) {
    const int mode = ::fcntl(*descriptor_of(location), F_GETFL);
    return mode >= 0 && (mode & O_ACCMODE) == O_RDWR
               ? Status()
               : Error(ErrorKind::read_only, location + ": is not open for reading and writing",
                       "open it for both: 3<>vm.nvram");
  }
  if (::faccessat(AT_FDCWD, location.c_str(), W_OK, AT_EACCESS) != 0) {
    return change_error(location, "cannot be opened for writing", errno);
  }
  const Result<OpenedFile> file = open_to_look(location);
  int is_read_only = 0;
  return file && file->block_special && ::ioctl(file->fd.get(), BLKROGET, &is_read_only) == 0 &&
                 is_read_only != 0
             ? Status(Error(ErrorKind::read_only,
                            fmt::format("{}: the device is set read-only", location),
                            "blockdev --setrw allows writing to it"))
             : Status();
}

std::optional<SpaceLook> look_for_space(const std::string& location,
                                        std::span<const ByteRange> ranges) {
  if (is_served(location)) {
    return std::nullopt;
  }
  const Result<OpenedFile> file = open_to_look(location);
  struct stat status = {};
  struct statvfs system = {};
  struct statfs kind = {};
  if (!file || file->block_special || ::fstat(file->fd.get(), &status) != 0 ||
      ::fstatvfs(file->fd.get(), &system) != 0 || ::fstatfs(file->fd.get(), &kind) != 0) {
    return std::nullopt;
  }
  // Some of what is free is root's alone.
  const std::uint64_t free_blocks = ::geteuid() == 0 ? system.f_bfree : system.f_bavail;
  SpaceLook look{.free_bytes = free_blocks * system.f_frsize,
                 .unshares = kind.f_type == XFS_SUPER_MAGIC};
  const auto end = static_cast<std::uint64_t>(status.st_size);
  for (const ByteRange& range : ranges) {
    const std::uint64_t from = std::min(range.offset_bytes, end);
    const MissingBytes missing =
        missing_file_space(file->fd.get(), {from, std::min(range.end_bytes(), end) - from});
    look.missing_bytes += missing.holes;
    look.shared_bytes += missing.shared;
  }
  return look;
}

Result<MeasuredDurability> measure_durability(const std::string& location,
                                              const DeviceOptions& options) {
  if (scheme_of(location) == LocationScheme::rbd) {
    return cannot_tell(location, "what is flushed or written there needs its lock, which is not "
                                 "taken to measure with");
  }
  if (is_served(location)) {
    const auto device = open_device(location, Access::read_write, options);
    return device ? measure_times(MeasuredDurability::flush,
                                  [&](std::size_t /*turn*/) { return (*device)->flush(); })
                  : Result<MeasuredDurability>(device.error());
  }
  const Result<OpenedFile> file = open_to_look(location);
  if (!file) {
    return file.error();
  }
  if (file->block_special) {
    return measure_flush(location, file->fd.get());
  }
  return descriptor_of(location) ? Result<MeasuredDurability>(cannot_tell(
                                       location, "where a descriptor's file is is not looked for"))
                                 : measure_beside(location);
}

} // namespace vnvram
