#include "device/nbd_device.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "device/nbd_connection.h"

namespace vnvram {
namespace {

using Kind = NbdRequest::Kind;

// A server may limit reads and writes to very little.
constexpr std::uint64_t block_status_size_max_bytes = std::uint64_t{1} << 30U;
constexpr std::uint64_t reserve_step_bytes = std::uint64_t{1} << 20U;

/// The requests that make up one of these, each as large as it may be.
void add_requests(std::vector<NbdRequest>& requests, const NbdRequest& whole,
                  std::uint64_t size_max_bytes) {
  for (std::uint64_t done = 0; done < whole.length_bytes;) {
    const std::uint64_t length = std::min(whole.length_bytes - done, size_max_bytes);
    requests.push_back({.kind = whole.kind,
                        .offset_bytes = whole.offset_bytes + done,
                        .length_bytes = length,
                        .into = whole.into == nullptr ? nullptr : whole.into + done,
                        .from = whole.from == nullptr ? nullptr : whole.from + done});
    done += length;
  }
}

Status check_export(const NbdConnection& connection, Access access) {
  const NbdConnection::Export& offer = connection.properties();
  if (offer.request_size_min_bytes > block_size_bytes ||
      offer.request_size_max_bytes < block_size_bytes) {
    return Error(ErrorKind::unsupported,
                 fmt::format("{}: the server takes requests of {} to {} bytes, and an image is in "
                             "blocks of {}",
                             connection.name(), offer.request_size_min_bytes,
                             offer.request_size_max_bytes, block_size_bytes),
                 "set the server's block size to 4096 or less");
  }
  if (access == Access::read_only) {
    return {};
  }
  if (offer.read_only) {
    return Error(ErrorKind::read_only,
                 fmt::format("{}: the export is read-only", connection.name()),
                 "export it for writing; as it is it can only be read");
  }
  if (!offer.can_fua && !offer.can_flush) {
    return Error(ErrorKind::unsupported,
                 fmt::format("{}: the server offers neither FUA nor flush, so no write to it is "
                             "ever known to be durable",
                             connection.name()),
                 "use a server that has one of them");
  }
  return {};
}

} // namespace

NbdDevice::NbdDevice(std::unique_ptr<NbdConnection> connection, const NbdTarget& target,
                     Access access)
    : connection_(std::move(connection)), private_server_(target.private_server),
      over_tcp_(target.uri.starts_with("nbd://") || target.uri.starts_with("nbds://")),
      access_(access) {}

NbdDevice::~NbdDevice() = default;

Result<std::unique_ptr<NbdDevice>> NbdDevice::connect(const NbdTarget& target, Access access) {
  Result<std::unique_ptr<NbdConnection>> connection = NbdConnection::connect(target);
  if (!connection) {
    return connection.error();
  }
  if (const Status usable = check_export(**connection, access); !usable) {
    return usable.error();
  }
  return std::unique_ptr<NbdDevice>(new NbdDevice(std::move(*connection), target, access));
}

std::string NbdDevice::name() const {
  return connection_->name();
}

DeviceCapabilities NbdDevice::capabilities() const {
  const bool writable = access_ == Access::read_write;
  return {.write = writable,
          .resize = false,
          .lock = private_server_,
          .unseen_owners = over_tcp_,
          .content_may_change = !private_server_,
          .remote = true};
}

Result<std::uint64_t> NbdDevice::size_bytes() {
  return connection_->properties().size_bytes;
}

Status NbdDevice::check_range(const char* verb, std::uint64_t offset_bytes,
                              std::uint64_t length_bytes) const {
  const std::uint64_t size = connection_->properties().size_bytes;
  if (offset_bytes > size || length_bytes > size - offset_bytes) {
    return Error(ErrorKind::io, fmt::format("{}: cannot {} {} bytes at {}: it ends at {}", name(),
                                            verb, length_bytes, offset_bytes, size));
  }
  return {};
}

Status NbdDevice::check_writable() const {
  if (access_ != Access::read_write) {
    return Error(ErrorKind::read_only, fmt::format("{}: opened read-only", name()));
  }
  return {};
}

std::uint64_t NbdDevice::request_size_max_bytes() const {
  return connection_->properties().request_size_max_bytes / block_size_bytes * block_size_bytes;
}

Status NbdDevice::read(std::uint64_t offset_bytes, std::span<std::byte> buffer) {
  if (Status status = check_range("read", offset_bytes, buffer.size()); !status) {
    return status;
  }
  std::vector<NbdRequest> requests;
  add_read(requests, offset_bytes, buffer);
  return connection_->run(requests);
}

void NbdDevice::add_read(std::vector<NbdRequest>& requests, std::uint64_t offset_bytes,
                         std::span<std::byte> buffer) const {
  add_requests(requests,
               {.kind = Kind::read,
                .offset_bytes = offset_bytes,
                .length_bytes = buffer.size(),
                .into = buffer.data(),
                .from = nullptr},
               request_size_max_bytes());
}

Status NbdDevice::add_write(std::vector<NbdRequest>& requests, bool durable,
                            std::uint64_t offset_bytes, std::span<const std::byte> data) const {
  if (Status status = check_writable(); !status) {
    return status;
  }
  if (Status status = check_range("write", offset_bytes, data.size()); !status) {
    return status;
  }
  const NbdConnection::Export& offer = connection_->properties();
  const bool with_fua = offer.can_fua && (durable || !offer.can_flush);
  add_requests(requests,
               {.kind = with_fua ? Kind::write_durable : Kind::write,
                .offset_bytes = offset_bytes,
                .length_bytes = data.size(),
                .into = nullptr,
                .from = data.data()},
               request_size_max_bytes());
  return {};
}

/// What of them was written is durable when it returns.
Status NbdDevice::run_durably(const std::vector<NbdRequest>& requests) {
  const Status written = connection_->run(requests);
  return written && !connection_->properties().can_fua ? flush() : written;
}

Status NbdDevice::write(std::uint64_t offset_bytes, std::span<const std::byte> data) {
  std::vector<NbdRequest> requests;
  const Status added = add_write(requests, false, offset_bytes, data);
  return added ? connection_->run(requests) : added;
}

Status NbdDevice::write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) {
  std::vector<NbdRequest> requests;
  const Status added = add_write(requests, true, offset_bytes, data);
  return added ? run_durably(requests) : added;
}

Status NbdDevice::write_durable_and_read(std::uint64_t write_offset_bytes,
                                         std::span<const std::byte> data,
                                         std::uint64_t read_offset_bytes,
                                         std::span<std::byte> buffer) {
  std::vector<NbdRequest> requests;
  Status possible = add_write(requests, true, write_offset_bytes, data);
  if (possible) {
    possible = check_range("read", read_offset_bytes, buffer.size());
  }
  if (!possible) {
    return possible;
  }
  add_read(requests, read_offset_bytes, buffer);
  return run_durably(requests);
}

Status NbdDevice::flush() {
  if (!connection_->properties().can_flush) {
    return {}; // Each write was durable by itself.
  }
  const std::array<NbdRequest, 1> request = {{{.kind = Kind::flush}}};
  return connection_->run(request);
}

Status NbdDevice::resize(std::uint64_t size_bytes) {
  if (Status status = check_writable(); !status) {
    return status;
  }
  const std::uint64_t current = connection_->properties().size_bytes;
  if (size_bytes == current) {
    return {};
  }
  return Error(ErrorKind::unsupported,
               fmt::format("{}: an export of {} bytes cannot be resized to {} from here", name(),
                           current, size_bytes),
               "let its server resize it, then open it again");
}

Status NbdDevice::fill_holes(const ByteRange& range) {
  if (!private_server_ || !connection_->properties().can_block_status) {
    return {};
  }
  const std::vector<std::byte> zeros(reserve_step_bytes);
  const std::uint64_t range_end = range.end_bytes();
  std::uint64_t at = range.offset_bytes;
  while (at < range_end) {
    std::vector<NbdExtent> extents;
    const std::array<NbdRequest, 1> question = {
        {{.kind = Kind::block_status,
          .offset_bytes = at,
          .length_bytes = std::min(range_end - at, block_status_size_max_bytes),
          .extents = &extents}}};
    Status done = connection_->run(question);
    const std::uint64_t asked_at = at;
    for (auto extent = extents.begin(); done && extent != extents.end(); ++extent) {
      const std::uint64_t end = std::min(at + extent->length_bytes, range_end);
      for (; done && extent->is_hole && at < end; at += std::min(end - at, reserve_step_bytes)) {
        done = write(at, std::span(zeros).first(std::min(end - at, reserve_step_bytes)));
      }
      at = end;
    }
    if (!done || at == asked_at) {
      return done ? Error(ErrorKind::io,
                          fmt::format("{}: its server does not tell what it has space "
                                      "for at {}",
                                      name(), at))
                  : done;
    }
  }
  return {};
}

Status NbdDevice::lock_for_writing() {
  return check_writable();
}

} // namespace vnvram
