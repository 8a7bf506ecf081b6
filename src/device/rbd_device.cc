#include "device/rbd_device.h"

#include <array>
#include <utility>

#include <fmt/core.h>

#include "device/rbd_cluster.h"
#include "device/rbd_image.h"
#include "device/rbd_location.h"

namespace vnvram {

RbdDevice::RbdDevice(std::unique_ptr<RbdImage> image, Access access)
    : image_(std::move(image)), access_(access) {}

RbdDevice::~RbdDevice() = default;

Result<std::unique_ptr<RbdDevice>>
RbdDevice::open(const std::string& location, Access access, std::chrono::milliseconds timeout,
                std::function<void(const std::string& text)> note) {
  const Result<RbdLocation> where = RbdLocation::parse(location);
  auto opened =
      where ? open(*where, access, timeout) : Result<std::unique_ptr<RbdDevice>>(where.error());
  if (opened) {
    (*opened)->note_ = std::move(note);
  }
  return opened;
}

Result<std::unique_ptr<RbdDevice>> RbdDevice::open(const RbdLocation& location, Access access,
                                                   std::chrono::milliseconds timeout) {
  Result<std::shared_ptr<RbdCluster>> cluster = RbdCluster::connect(location, timeout);
  if (!cluster) {
    return cluster.error();
  }
  Result<std::unique_ptr<RbdImage>> image = RbdImage::open(*std::move(cluster), access);
  if (!image) {
    return image.error();
  }
  return std::unique_ptr<RbdDevice>(new RbdDevice(*std::move(image), access));
}

std::string RbdDevice::name() const {
  return image_->name();
}

DeviceCapabilities RbdDevice::capabilities() const {
  const bool writable = access_ == Access::read_write;
  return {.write = writable,
          .resize = writable,
          .lock = image_->has_lock(),
          .unseen_owners = !image_->has_lock(),
          .content_may_change = !image_->has_lock(),
          .remote = true,
          .fences = image_->has_lock()};
}

Result<std::uint64_t> RbdDevice::size_bytes() {
  return image_->size_bytes();
}

Status RbdDevice::check_range(const char* verb, std::uint64_t offset_bytes,
                              std::uint64_t length_bytes) {
  const Result<std::uint64_t> size = image_->known_size_bytes();
  if (!size) {
    return size.error();
  }
  if (offset_bytes > *size || length_bytes > *size - offset_bytes) {
    return Error(ErrorKind::io, fmt::format("{}: cannot {} {} bytes at {}: it ends at {}", name(),
                                            verb, length_bytes, offset_bytes, *size));
  }
  return {};
}

Status RbdDevice::check_writable() const {
  if (access_ != Access::read_write) {
    return Error(ErrorKind::read_only, fmt::format("{}: opened read-only", name()));
  }
  return {};
}

// Without the lock librbd would take it by itself, and give it to whoever asks for it.
Status RbdDevice::check_write(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  Status possible = check_writable();
  if (possible && image_->has_lock() && !locked_) {
    possible = Error(ErrorKind::read_only, fmt::format("{}: its lock was not taken", name()));
  }
  return possible ? check_range("write", offset_bytes, length_bytes) : possible;
}

Status RbdDevice::read(std::uint64_t offset_bytes, std::span<std::byte> buffer) {
  if (Status possible = check_range("read", offset_bytes, buffer.size()); !possible) {
    return possible;
  }
  const std::array<RbdRequest, 1> request = {
      {{.kind = RbdRequest::Kind::read, .offset_bytes = offset_bytes, .into = buffer}}};
  return image_->run(request);
}

Status RbdDevice::write(std::uint64_t offset_bytes, std::span<const std::byte> data) {
  if (Status possible = check_write(offset_bytes, data.size()); !possible) {
    return possible;
  }
  const std::array<RbdRequest, 1> request = {
      {{.kind = RbdRequest::Kind::write, .offset_bytes = offset_bytes, .from = data}}};
  return image_->run(request);
}

Status RbdDevice::write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) {
  return write(offset_bytes, data);
}

// With the lock both are under way together. Without it the look has to see who came before the
// write was done, and librbd keeps no order: then one is behind the other.
Status RbdDevice::write_durable_and_read(std::uint64_t write_offset_bytes,
                                         std::span<const std::byte> data,
                                         std::uint64_t read_offset_bytes,
                                         std::span<std::byte> buffer) {
  Status possible = check_write(write_offset_bytes, data.size());
  if (possible) {
    possible = check_range("read", read_offset_bytes, buffer.size());
  }
  if (!possible) {
    return possible;
  }
  if (!image_->has_lock()) {
    const Status written = write(write_offset_bytes, data);
    return written ? read(read_offset_bytes, buffer) : written;
  }
  const std::array<RbdRequest, 2> requests = {
      {{.kind = RbdRequest::Kind::read, .offset_bytes = read_offset_bytes, .into = buffer},
       {.kind = RbdRequest::Kind::write, .offset_bytes = write_offset_bytes, .from = data}}};
  return image_->run(requests);
}

// Who has no lock has nothing there to be flushed, and librbd would take the lock for it, of
// whoever has it.
Status RbdDevice::flush() {
  if (access_ != Access::read_write || (image_->has_lock() && !locked_)) {
    return {};
  }
  const std::array<RbdRequest, 1> request = {{{.kind = RbdRequest::Kind::flush}}};
  return image_->run(request);
}

Status RbdDevice::resize(std::uint64_t size_bytes) {
  if (Status possible = check_write(0, 0); !possible) {
    return possible;
  }
  const Result<std::uint64_t> current = image_->size_bytes();
  if (!current || *current == size_bytes) {
    return current ? Status() : Status(current.error());
  }
  if (size_bytes < *current) {
    return Error(ErrorKind::unsupported, fmt::format("{}: {} bytes: it has {}, and can only grow",
                                                     name(), size_bytes, *current));
  }
  return image_->resize(size_bytes);
}

Status RbdDevice::lock_for_writing() {
  if (Status possible = check_writable(); !possible) {
    return possible;
  }
  if (!image_->has_lock() || locked_) {
    return {};
  }
  Status taken = image_->lock(note_);
  locked_ = taken.ok();
  return taken;
}

Status RbdDevice::shut_out_owner() {
  Status possible = check_writable();
  return possible && !locked_ ? image_->shut_out_owner() : possible;
}

void RbdDevice::unlock() {
  if (std::exchange(locked_, false)) {
    image_->unlock();
  }
}

} // namespace vnvram
