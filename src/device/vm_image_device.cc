#include "device/vm_image_device.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <vector>

#include <fmt/core.h>

#include "base/aligned_buffer.h"
#include "base/file_error.h"
#include "base/unique_fd.h"
#include "device/file_space.h"
#include "device/hidden_writes.h"
#include "device/nbd_device.h"
#include "device/qcow2_clusters.h"
#include "device/qemu_nbd_server.h"

namespace vnvram {
namespace {

Status check_key(const std::string& path, const ImageContainer& image,
                 const DeviceOptions& options) {
  if (!image.encrypted) {
    return check_no_key(path, options);
  }
  if (options.image_key_file.empty()) {
    return Error(ErrorKind::key_needed, path + ": the image is encrypted",
                 "name the file with its key: --image-key FILE, and image-key=FILE for nbdkit");
  }
  const UniqueFd readable(::open(options.image_key_file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!readable.valid()) {
    return Error(ErrorKind::io,
                 fmt::format("{}: cannot read its key {}: {}", path, options.image_key_file,
                             std::generic_category().message(errno)),
                 "check the key file's path and its permissions");
  }
  return {};
}

constexpr std::size_t rewrite_step_bytes = std::size_t{1} << 20U;

/// qemu-nbd's word for it reaches us as text.
Error space_error(const std::string& path, const Error& error) {
  if (error.cause().find(std::generic_category().message(ENOSPC)) == std::string::npos &&
      error.cause().find(std::generic_category().message(EDQUOT)) == std::string::npos) {
    return error;
  }
  return {ErrorKind::no_space,
          fmt::format("{}: it has no space for all that will be written into it (a sparse copy, a "
                      "snapshot?), and none can be reserved: {}",
                      path, error.cause()),
          "make room there, then open it again; --space warn, and space=warn for nbdkit, goes on "
          "until a commit fails"};
}

/// In our words, and before a program is started that says it in its own.
Status check_writable(const QemuFile& file) {
  const UniqueFd writable = file.open(O_RDWR | O_NONBLOCK);
  return writable.valid() ? Status{}
                          : Status(change_error(file.name(), "cannot open for writing", errno));
}

/// What an owner before us has left in the page cache and the disk does not have, after a failed
/// write-back, must not be read: see FileDevice::drop_cache.
Status drop_cache(const QemuFile& file) {
  const UniqueFd fd = file.open(O_RDONLY);
  if (!fd.valid() || ::fdatasync(fd.get()) != 0) {
    return Error(ErrorKind::io, fmt::format("{}: cannot flush: {}", file.name(),
                                            std::generic_category().message(errno)));
  }
  (void)::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
  return {};
}

} // namespace

VmImageDevice::VmImageDevice(QemuFile file, const ImageContainer& image, Access access,
                             DeviceOptions options)
    : where_(std::move(file)), image_(image), access_(access), options_(std::move(options)) {}

VmImageDevice::~VmImageDevice() = default;

Result<std::unique_ptr<VmImageDevice>> VmImageDevice::open(const QemuFile& file,
                                                           const ImageContainer& image,
                                                           Access access,
                                                           const DeviceOptions& options) {
  if (const Status key = check_key(file.name(), image, options); !key) {
    return key.error();
  }
  if (access == Access::read_write) {
    if (const Status writable = check_writable(file); !writable) {
      return writable.error();
    }
  }
  std::unique_ptr<VmImageDevice> device(new VmImageDevice(file, image, access, options));
  if (const UniqueFd there = file.open(O_RDONLY | O_NONBLOCK); there.valid()) {
    device->unseen_owners_ = owners_may_be_unseen(there.get());
  }
  if (const Status started = device->start(); !started) {
    return started.error();
  }
  if (access == Access::read_write && file.has_path()) {
    device->file_ = file.open(O_PATH);
    if (device->file_.valid()) {
      device->file_name_.emplace(device->file_.get(), file.name());
    }
  }
  return device;
}

// What is acknowledged must be found by whoever comes next.
Status VmImageDevice::check_durable_is_found() const {
  return file_name_ ? file_name_->check(file_.get()) : Status{};
}

Status VmImageDevice::check_name() {
  const Status found = check_durable_is_found();
  return found && file_name_ ? file_name_->check_not_moved() : found;
}

Status VmImageDevice::start() {
  Result<std::unique_ptr<QemuNbdServer>> server =
      QemuNbdServer::start(where_, image_, access_, options_);
  if (!server) {
    return server.error();
  }
  NbdTarget target;
  target.name = name();
  target.socket = (*server)->take_connection().release();
  target.private_server = true;
  target.timeout = options_.timeout;
  Result<std::unique_ptr<NbdDevice>> connection = NbdDevice::connect(target, access_);
  if (!connection) {
    return connection.error();
  }
  const Status dropped = access_ == Access::read_write ? drop_cache(where_) : Status{};
  if (!dropped) {
    return dropped;
  }
  server_ = std::move(*server);
  connection_ = std::move(*connection);
  return {};
}

// A qemu-nbd that has ended may have said why.
Error VmImageDevice::explained(const Error& error) {
  std::string said;
  {
    const std::lock_guard lock(starting_); // A commit and a checkpoint may fail at the same time.
    said = server_ ? server_->said() : std::string();
  }
  if (error.kind() != ErrorKind::io || said.empty()) {
    return error;
  }
  return {error.kind(), fmt::format("{}; {}", error.cause(), said.substr(0, said.find('\n'))),
          error.remedy()};
}

template <typename Call> Status VmImageDevice::with_connection(Call&& call) {
  {
    const std::lock_guard lock(starting_);
    const Status started = connection_ ? Status{} : start();
    if (!started) {
      return started;
    }
  }
  const Status done = call(*connection_);
  return done ? done : Status(explained(done.error()));
}

DeviceCapabilities VmImageDevice::capabilities() const {
  return {.write = access_ == Access::read_write,
          .resize = false,
          .lock = true,
          .unseen_owners = unseen_owners_,
          .content_may_change = false,
          .remote = true,
          .read_beside_write = false,
          .named = file_name_.has_value() && file_name_->known()};
}

Result<std::uint64_t> VmImageDevice::size_bytes() {
  std::uint64_t size = 0;
  const Status asked = with_connection([&](NbdDevice& device) -> Status {
    const Result<std::uint64_t> result = device.size_bytes();
    if (!result) {
      return result.error();
    }
    size = *result;
    return {};
  });
  return asked ? Result<std::uint64_t>(size) : asked.error();
}

Status VmImageDevice::read(std::uint64_t offset_bytes, std::span<std::byte> buffer) {
  return with_connection([&](NbdDevice& device) { return device.read(offset_bytes, buffer); });
}

Status VmImageDevice::write(std::uint64_t offset_bytes, std::span<const std::byte> data) {
  return with_connection([&](NbdDevice& device) { return device.write(offset_bytes, data); });
}

Status VmImageDevice::write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) {
  if (Status found = check_durable_is_found(); !found) {
    return found;
  }
  return with_connection(
      [&](NbdDevice& device) { return device.write_durable(offset_bytes, data); });
}

Status VmImageDevice::write_durable_and_read(std::uint64_t write_offset_bytes,
                                             std::span<const std::byte> data,
                                             std::uint64_t read_offset_bytes,
                                             std::span<std::byte> buffer) {
  if (Status found = check_durable_is_found(); !found) {
    return found;
  }
  return with_connection([&](NbdDevice& device) {
    return device.write_durable_and_read(write_offset_bytes, data, read_offset_bytes, buffer);
  });
}

Status VmImageDevice::flush() {
  return with_connection([](NbdDevice& device) { return device.flush(); });
}

Status VmImageDevice::resize(std::uint64_t size_bytes) {
  const Result<std::uint64_t> current = this->size_bytes();
  if (!current || *current == size_bytes) {
    return current ? Status{} : Status(current.error());
  }
  return Error(ErrorKind::unsupported,
               fmt::format("{}: a VM image of {} bytes cannot be resized while it is open", name(),
                           *current),
               "close it, and use `resize`");
}

// The same bytes once more, for which QEMU takes clusters that are this image's alone.
Status VmImageDevice::rewrite(NbdDevice& device, const ByteRange& range) {
  AlignedBuffer bytes(std::min(range.length_bytes, rewrite_step_bytes));
  Status done;
  for (std::uint64_t at = 0; done && at < range.length_bytes; at += bytes.span().size()) {
    const auto step =
        bytes.span().first(std::min<std::uint64_t>(bytes.span().size(), range.length_bytes - at));
    done = device.read(range.offset_bytes + at, step);
    done = done ? device.write(range.offset_bytes + at, step) : done;
  }
  return done;
}

Status VmImageDevice::allocate(const ByteRange& range) {
  if (image_.format == ImageFormat::luks) {
    return {}; // All of it is in the file.
  }
  return with_connection([&](NbdDevice& device) -> Status {
    if (image_.format != ImageFormat::qcow2) {
      const Status reserved = device.fill_holes(range);
      return reserved ? device.flush() : reserved;
    }
    const Result<std::vector<ByteRange>> borrowed = find_borrowed_clusters(where_, range);
    if (!borrowed) {
      return borrowed.error();
    }
    Status done;
    for (auto part = borrowed->begin(); done && part != borrowed->end(); ++part) {
      done = rewrite(device, *part);
    }
    return done && !borrowed->empty() ? device.flush() : done;
  });
}

Status VmImageDevice::reserve_space(const ByteRange& range) {
  if (const Status allocated = allocate(range); !allocated) {
    return space_error(name(), allocated.error());
  }
  const UniqueFd fd = where_.open(O_RDWR);
  struct stat status = {};
  if (!fd.valid() || ::fstat(fd.get(), &status) != 0) {
    return Error(ErrorKind::io, fmt::format("{}: cannot open: {}", name(),
                                            std::generic_category().message(errno)));
  }
  // Allocated and not written: the file is qemu-nbd's, which may be writing its own tables.
  return S_ISREG(status.st_mode)
             ? reserve_file_space(fd.get(), name(), {0, static_cast<std::uint64_t>(status.st_size)},
                                  MissingSpace::allocated)
             : Status{};
}

// Zeros are written like anything else: see QemuNbdServer. Their clusters, and the tables that lead
// to them, are in the file when the flush is done.
Status VmImageDevice::reserve_added_space(const ByteRange& range) {
  const Status written = with_connection([&](NbdDevice& device) -> Status {
    const std::vector<std::byte> zeros(
        std::min<std::uint64_t>(range.length_bytes, rewrite_step_bytes));
    Status done;
    for (std::uint64_t at = 0; done && at < range.length_bytes; at += zeros.size()) {
      done = device.write(range.offset_bytes + at, std::span(zeros).first(std::min<std::uint64_t>(
                                                       zeros.size(), range.length_bytes - at)));
    }
    return done ? device.flush() : done;
  });
  return written ? written : Status(space_error(name(), written.error()));
}

Status VmImageDevice::lock_for_writing() {
  return with_connection([](NbdDevice& device) { return device.lock_for_writing(); });
}

void VmImageDevice::unlock() {
  if (access_ == Access::read_write) {
    connection_.reset();
    server_.reset();
  }
}

} // namespace vnvram
