// How a FileDevice begins.
#include "device/file_device.h"

#include <fcntl.h>

#include <utility>

#include "base/barrier.h"
#include "device/block_reservation_calls.h"
#include "device/hidden_writes.h"
#include "device/location.h"

namespace vnvram {

FileDevice::FileDevice(std::string path, OpenedFile file, Access access)
    : path_(std::move(path)), file_(std::move(file)), access_(access),
      medium_reads_(kept(Barrier::medium_reads) && cache_may_hide_writes(file_.fd.get())),
      unseen_owners_(owners_may_be_unseen(file_.fd.get())) {}

Result<std::unique_ptr<FileDevice>> FileDevice::open(const std::string& path, Access access) {
  const bool is_open = scheme_of(path) == LocationScheme::descriptor;
  Result<OpenedFile> file = is_open ? open_descriptor(path, access) : open_file(path, access);
  if (!file) {
    return file.error();
  }
  const std::string name = location_name(path);
  auto opened = of_found_file(*std::move(file), name, access);
  if (opened) {
    // Without /proc nothing tells what path a descriptor came by.
    (*opened)->has_path_ = !is_open || name != path;
  }
  return opened;
}

Result<std::unique_ptr<FileDevice>> FileDevice::of_found_file(OpenedFile file, std::string path,
                                                              Access access) {
  auto opened = of_open_file(std::move(file), std::move(path), access);
  if (!opened) {
    return opened;
  }
  FileDevice& device = **opened;
  device.has_path_ = true;
  if (access == Access::read_write && !device.file_.block_special) {
    device.file_name_.emplace(device.buffered(), device.path_);
  }
  return opened;
}

Result<std::unique_ptr<FileDevice>> FileDevice::of_open_file(OpenedFile file, std::string name,
                                                             Access access) {
  std::unique_ptr<FileDevice> device(new FileDevice(std::move(name), std::move(file), access));
  if (const Result<std::uint64_t> size = device->size_bytes(); !size) {
    return size.error();
  }
  const int fd = device->buffered();
  if (access == Access::read_write && device->file_.block_special) {
    device->reservation_.emplace(std::make_unique<BlockReservationCalls>(fd), device->path_);
  }
  // No read-ahead: it would fill the page cache with large folios that span what is read and what
  // is written directly beside it, and the engine keeps its own cache.
  (void)::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
  if (access == Access::read_write || device->medium_reads_) {
    device->direct_.open(fd, access);
  }
  if (access == Access::read_write && device->medium_reads_ && !device->file_.block_special) {
    device->unlocked_.open(fd, Access::read_only);
  }
  return device;
}

} // namespace vnvram
