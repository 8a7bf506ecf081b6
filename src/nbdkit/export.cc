#include "nbdkit/export.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "uefi/flash_chip.h"

namespace vnvram::nbdkit {

Export::Export(BlobClient& client, Claims& claims, BlobInfo blob, bool read_only, bool durable)
    : client_(client), claims_(claims), blob_(std::move(blob)), size_bytes_(chip_size_bytes(blob_)),
      read_only_(read_only), durable_(durable) {}

std::string Export::description(const BlobInfo& blob) {
  return blob.producer.empty()
             ? fmt::format("vNVRAM blob of type {}", blob.type)
             : fmt::format("vNVRAM blob of type {}, written by {}", blob.type, blob.producer);
}

Durability Export::durability(bool durable) {
  if (durable || durable_) {
    return Durability::on_return;
  }
  has_deferred_ = true;
  return Durability::deferred;
}

std::size_t Export::bytes_in_blob(std::uint64_t offset_bytes, std::uint64_t length_bytes) const {
  return static_cast<std::size_t>(
      std::min(length_bytes, blob_.size_max_bytes - std::min(offset_bytes, blob_.size_max_bytes)));
}

Status Export::check_range(std::uint64_t offset_bytes, std::uint64_t length_bytes) const {
  if (offset_bytes <= size_bytes_ && length_bytes <= size_bytes_ - offset_bytes) {
    return {};
  }
  return Error(ErrorKind::too_large,
               fmt::format("blob {}: {} bytes at {} are behind its {} bytes", blob_.name,
                           length_bytes, offset_bytes, size_bytes_));
}

Status Export::read(std::uint64_t offset_bytes, std::span<std::byte> bytes) {
  if (Status in_range = check_range(offset_bytes, bytes.size()); !in_range) {
    return in_range;
  }
  const std::size_t kept = bytes_in_blob(offset_bytes, bytes.size());
  const std::span<std::byte> behind = bytes.subspan(kept);
  std::fill(behind.begin(), behind.end(), std::byte{0});
  return kept == 0 ? Status{} : client_.read(blob_.name, offset_bytes, bytes.first(kept));
}

Status Export::write(std::uint64_t offset_bytes, std::span<const std::byte> bytes, bool durable) {
  if (Status in_range = check_range(offset_bytes, bytes.size()); !in_range) {
    return in_range;
  }
  const std::size_t kept = bytes_in_blob(offset_bytes, bytes.size());
  const std::span<const std::byte> behind = bytes.subspan(kept);
  if (!std::all_of(behind.begin(), behind.end(),
                   [](std::byte each) { return each == std::byte{0}; })) {
    return Error(ErrorKind::no_space,
                 fmt::format("blob {}: a write at {} of something else than zeros behind its {} "
                             "bytes, where its chip of {} keeps nothing",
                             blob_.name, offset_bytes, blob_.size_max_bytes, size_bytes_),
                 "the firmware that the blob is for writes nothing there");
  }
  return kept == 0
             ? nothing_of_it_is_kept(durable)
             : client_.write(blob_.name, offset_bytes, bytes.first(kept), durability(durable));
}

Status Export::zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, bool durable) {
  if (Status in_range = check_range(offset_bytes, length_bytes); !in_range) {
    return in_range;
  }
  const std::size_t kept = bytes_in_blob(offset_bytes, length_bytes);
  return kept == 0 ? nothing_of_it_is_kept(durable)
                   : client_.zero(blob_.name, offset_bytes, kept, durability(durable));
}

// It is a write all the same: what waits is durable with it, or with the end of this client.
Status Export::nothing_of_it_is_kept(bool durable) {
  return durability(durable) == Durability::on_return ? flush() : Status{};
}

Status Export::flush() {
  return client_.flush();
}

Status Export::claim() {
  if (read_only_) {
    return {};
  }
  Status claimed = claims_.begin(blob_.name);
  claims_blob_ = claimed.ok();
  return claimed;
}

Status Export::close() {
  Status closed = has_deferred_ ? flush() : Status{};
  if (claims_blob_) {
    const Status ended = claims_.end(blob_.name);
    return closed ? ended : closed;
  }
  return closed;
}

} // namespace vnvram::nbdkit
