#include "support/simulated_device.h"

#include <algorithm>
#include <cassert>

#include <fmt/core.h>

namespace vnvram::test {
namespace {

constexpr std::byte garbage{0xD5};

std::ptrdiff_t position(std::uint64_t offset_bytes) {
  return static_cast<std::ptrdiff_t>(offset_bytes);
}

} // namespace

SimulatedDisk::SimulatedDisk(std::vector<std::byte> content)
    : durable_(std::move(content)), cache_(durable_) {}

SimulatedDisk::SimulatedDisk(std::vector<std::byte> durable, const PendingSectors& pending)
    : durable_(std::move(durable)), cache_(durable_), pending_(pending) {
  for (const auto& [sector, versions] : pending_) {
    std::copy(versions.back().begin(), versions.back().end(),
              cache_.begin() + position(sector * sector_size_bytes));
  }
}

void SimulatedDisk::fail(OperationKind kind, std::uint64_t count) {
  failure_ = Failure{.kind = kind, .count = count};
}

void SimulatedDisk::rot(std::uint64_t byte, unsigned bit) {
  durable_.at(byte) ^= std::byte{1} << bit;
  cache_.at(byte) ^= std::byte{1} << bit;
}

void SimulatedDisk::replace(std::vector<std::byte> content) {
  const std::scoped_lock lock(mutex_);
  assert(content.size() == cache_.size());
  pending_.clear();
  cache_ = content;
  durable_ = std::move(content);
}

bool SimulatedDisk::begin(SimulatedOperation operation) {
  if (gate_) {
    gate_();
  }
  bool fails = false;
  {
    const std::scoped_lock lock(mutex_);
    operation.number = ++operation_count_;
    ++counts_.at(index(operation.kind));
    if (failure_ && failure_->kind == operation.kind && --failure_->count == 0) {
      failure_.reset();
      fails = true;
    }
  }
  if (hook_) {
    hook_(operation);
  }
  return fails;
}

void SimulatedDisk::put_pending(std::uint64_t offset_bytes, std::span<const std::byte> data) {
  std::copy(data.begin(), data.end(), cache_.begin() + position(offset_bytes));
  for (std::size_t done = 0; done < data.size(); done += sector_size_bytes) {
    Sector& version = pending_[(offset_bytes + done) / sector_size_bytes].emplace_back();
    std::copy_n(data.begin() + position(done), sector_size_bytes, version.begin());
  }
}

void SimulatedDisk::put_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) {
  std::copy(data.begin(), data.end(), cache_.begin() + position(offset_bytes));
  std::copy(data.begin(), data.end(), durable_.begin() + position(offset_bytes));
  for (std::size_t done = 0; done < data.size(); done += sector_size_bytes) {
    pending_.erase((offset_bytes + done) / sector_size_bytes);
  }
}

void SimulatedDisk::make_pending_durable() {
  durable_.resize(cache_.size());
  for (const auto& [sector, versions] : pending_) {
    std::copy(versions.back().begin(), versions.back().end(),
              durable_.begin() + position(sector * sector_size_bytes));
  }
  pending_.clear();
}

/// Every second sector is written; the others are forgotten, though the cache still shows them.
void SimulatedDisk::lose_some_pending() {
  durable_.resize(cache_.size());
  bool written = false;
  for (const auto& [sector, versions] : pending_) {
    if (written) {
      std::copy(versions.back().begin(), versions.back().end(),
                durable_.begin() + position(sector * sector_size_bytes));
    }
    written = !written;
  }
  pending_.clear();
}

void SimulatedDisk::drop_what_is_not_on_disk() {
  const std::uint64_t size = cache_.size();
  cache_ = durable_;
  cache_.resize(size);
  for (const auto& [sector, versions] : pending_) {
    std::copy(versions.back().begin(), versions.back().end(),
              cache_.begin() + position(sector * sector_size_bytes));
  }
}

SimulatedDevice::SimulatedDevice(std::shared_ptr<SimulatedDisk> disk, Access access)
    : disk_(std::move(disk)), access_(access) {}

SimulatedDevice::~SimulatedDevice() {
  SimulatedDevice::unlock();
}

DeviceCapabilities SimulatedDevice::capabilities() const {
  const bool writable = access_ == Access::read_write;
  if (capabilities_) {
    return *capabilities_;
  }
  return {.write = writable, .resize = writable, .lock = true, .content_may_change = false};
}

Result<std::uint64_t> SimulatedDevice::size_bytes() {
  const std::scoped_lock lock(disk_->mutex_);
  return std::uint64_t{disk_->cache_.size()};
}

/// A misuse of the contract is a defect of the engine that no fault excuses.
Status SimulatedDevice::check(const char* verb, std::uint64_t offset_bytes,
                              std::uint64_t length_bytes, bool writes) const {
  assert(offset_bytes % block_size_bytes == 0 && length_bytes % block_size_bytes == 0);
  assert(!writes || access_ == Access::read_write);
  const std::scoped_lock lock(disk_->mutex_);
  if (offset_bytes > disk_->cache_.size() || length_bytes > disk_->cache_.size() - offset_bytes) {
    return Error(ErrorKind::io,
                 fmt::format("simulated disk: cannot {} {} bytes at {}: it ends at {}", verb,
                             length_bytes, offset_bytes, disk_->cache_.size()));
  }
  return {};
}

Error SimulatedDevice::injected(const char* verb, std::uint64_t offset_bytes) const {
  return {ErrorKind::io,
          fmt::format("simulated disk: cannot {} at {}: injected failure", verb, offset_bytes)};
}

Status SimulatedDevice::read(std::uint64_t offset_bytes, std::span<std::byte> buffer) {
  if (Status status = check("read", offset_bytes, buffer.size(), false); !status) {
    return status;
  }
  if (disk_->begin({.kind = OperationKind::read,
                    .offset_bytes = offset_bytes,
                    .length_bytes = buffer.size(),
                    .data = {}})) {
    return injected("read", offset_bytes);
  }
  const std::scoped_lock lock(disk_->mutex_);
  std::copy_n(disk_->cache_.begin() + position(offset_bytes), buffer.size(), buffer.begin());
  return {};
}

Status SimulatedDevice::write(std::uint64_t offset_bytes, std::span<const std::byte> data) {
  if (Status status = check("write", offset_bytes, data.size(), true); !status) {
    return status;
  }
  const bool fails = disk_->begin({.kind = OperationKind::write,
                                   .offset_bytes = offset_bytes,
                                   .length_bytes = data.size(),
                                   .data = data});
  const std::scoped_lock lock(disk_->mutex_);
  if (fails) {
    disk_->put_pending(offset_bytes, data.first(sector_size_bytes));
    return injected("write", offset_bytes);
  }
  disk_->put_pending(offset_bytes, data);
  return {};
}

Status SimulatedDevice::write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) {
  if (Status status = check("durably write", offset_bytes, data.size(), true); !status) {
    return status;
  }
  const bool fails = disk_->begin({.kind = OperationKind::write_durable,
                                   .offset_bytes = offset_bytes,
                                   .length_bytes = data.size(),
                                   .data = data});
  const std::scoped_lock lock(disk_->mutex_);
  if (fails) {
    // It landed in full, and may or may not stay: the worst case for who takes it for undone.
    disk_->put_pending(offset_bytes, data);
    return injected("durably write", offset_bytes);
  }
  disk_->put_durable(offset_bytes, data);
  return {};
}

Status SimulatedDevice::flush() {
  const bool fails = disk_->begin({.kind = OperationKind::flush, .data = {}});
  const std::scoped_lock lock(disk_->mutex_);
  if (fails) {
    disk_->lose_some_pending();
    return Error(ErrorKind::io, "simulated disk: cannot flush: injected failure");
  }
  disk_->make_pending_durable();
  return {};
}

Status SimulatedDevice::resize(std::uint64_t size_bytes) {
  assert(access_ == Access::read_write);
  const bool fails =
      disk_->begin({.kind = OperationKind::resize, .length_bytes = size_bytes, .data = {}});
  const std::scoped_lock lock(disk_->mutex_);
  if (fails) {
    return Error(ErrorKind::no_space, "simulated disk: cannot grow: injected failure");
  }
  if (size_bytes < disk_->cache_.size()) {
    return Error(ErrorKind::invalid_argument, "simulated disk: cannot shrink");
  }
  disk_->cache_.resize(size_bytes);
  return {};
}

Status SimulatedDevice::lock_for_writing() {
  assert(access_ == Access::read_write);
  if (!capabilities().lock) {
    return {};
  }
  const std::scoped_lock lock(disk_->mutex_);
  if (disk_->owner_ != nullptr && disk_->owner_ != this) {
    return Error(ErrorKind::in_use, "simulated disk: another owner has it open for writing");
  }
  disk_->owner_ = this;
  disk_->drop_what_is_not_on_disk();
  return {};
}

void SimulatedDevice::unlock() {
  const std::scoped_lock lock(disk_->mutex_);
  if (disk_->owner_ == this) {
    disk_->owner_ = nullptr;
  }
}

} // namespace vnvram::test
