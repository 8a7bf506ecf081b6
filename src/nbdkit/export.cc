#include "nbdkit/export.h"

#include <utility>

#include <fmt/core.h>

namespace vnvram::nbdkit {

Export::Export(BlobClient& client, BlobInfo blob, bool read_only, bool durable)
    : client_(client), blob_(std::move(blob)), read_only_(read_only), durable_(durable) {}

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

Status Export::read(std::uint64_t offset_bytes, std::span<std::byte> bytes) {
  return client_.read(blob_.name, offset_bytes, bytes);
}

Status Export::write(std::uint64_t offset_bytes, std::span<const std::byte> bytes, bool durable) {
  return client_.write(blob_.name, offset_bytes, bytes, durability(durable));
}

Status Export::zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, bool durable) {
  return client_.zero(blob_.name, offset_bytes, length_bytes, durability(durable));
}

Status Export::flush() {
  return client_.flush();
}

Status Export::close() {
  return has_deferred_ ? flush() : Status{};
}

} // namespace vnvram::nbdkit
