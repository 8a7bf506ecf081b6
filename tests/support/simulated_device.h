// A disk that misbehaves as real ones may, and no worse.
//
// clang-format off
// Fault model
//   The disk has two halves. What is *durable* survives a power cut. What is *pending* is what write() left in
//   a cache: it can be read, and it survives the death of the process, but not a power cut.
//   - A power cut keeps, of each pending 512-byte sector on its own, the old content or any of the versions that
//     were written since the last flush: writes are reordered and torn at will. When asked for, sectors are torn
//     inside too.
//   - flush() makes everything pending durable. write_durable() makes itself durable and nothing else.
//   - An operation that is cut has happened for any subset of its sectors, write_durable() included.
//   - A process death leaves the cache: the next opener reads it, and only its flush makes it durable.
//   - A failing write has happened for some of its sectors. A failing flush has written some pending sectors and
//     forgotten the others for good, while the cache still shows them, as Linux does; who takes the lock next
//     reads what the disk holds.
//   - A failing read returns nothing. Bits rot only where a test flips them in the durable half.
//   - A resize is pending until the next flush.
//   - Someone else may put another content in the disk's place at any moment.
// Not modelled: writes that land in the wrong place, and devices that answer a flush without doing it.
// clang-format on
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "vnvram/block_device.h"
#include "vnvram/open_device.h"

namespace vnvram::test {

inline constexpr std::size_t sector_size_bytes = 512;
using Sector = std::array<std::byte, sector_size_bytes>;
/// By sector number: everything written since the last flush, oldest first.
using PendingSectors = std::map<std::uint64_t, std::vector<Sector>>;

enum class OperationKind { read, write, write_durable, flush, resize };

/// One call of the device, as the hook sees it.
struct SimulatedOperation {
  OperationKind kind = OperationKind::read;
  std::uint64_t number = 0; ///< Counts all operations of the disk, from 1.
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;
  std::span<const std::byte> data; ///< Of a write.
};

class SimulatedDevice;

/// The disk itself, apart from the devices that open it one after the other, or beside each other.
class SimulatedDisk {
public:
  using Hook = std::function<void(const SimulatedOperation&)>;

  /// Everything is durable.
  explicit SimulatedDisk(std::vector<std::byte> content);
  /// A disk in the middle of its life. The pending sectors lie within the durable part.
  SimulatedDisk(std::vector<std::byte> durable, const PendingSectors& pending);

  /// Called before each operation takes effect, with nothing locked: it may look at the disk, and
  /// use stores on this or any disk.
  void set_hook(Hook hook) { hook_ = std::move(hook); }
  /// Called at the very beginning of each operation, before it is counted: it may wait until
  /// another thread has done what it must do first.
  void set_gate(std::function<void()> gate) { gate_ = std::move(gate); }
  /// The count-th operation of that kind from now on fails, and only that one. 1 is the next.
  void fail(OperationKind kind, std::uint64_t count);
  /// The failure that was asked for has happened.
  [[nodiscard]] bool failed() const { return !failure_.has_value(); }

  [[nodiscard]] const std::vector<std::byte>& durable() const { return durable_; }
  [[nodiscard]] const std::vector<std::byte>& cache() const { return cache_; }
  [[nodiscard]] const PendingSectors& pending() const { return pending_; }
  [[nodiscard]] std::uint64_t operation_count() const { return operation_count_; }
  [[nodiscard]] std::uint64_t count(OperationKind kind) const { return counts_.at(index(kind)); }
  /// Flips one bit of what is on the disk, and of the cache.
  void rot(std::uint64_t byte, unsigned bit);
  /// Another content of the same size takes the disk's place, durably: what a copy onto the device
  /// does. What is pending is gone with what was there.
  void replace(std::vector<std::byte> content);

private:
  friend class SimulatedDevice;
  struct Failure {
    OperationKind kind;
    std::uint64_t count;
  };
  static std::size_t index(OperationKind kind) { return static_cast<std::size_t>(kind); }

  /// Counts, calls the hook, and says whether the operation is to fail.
  bool begin(SimulatedOperation operation);
  void put_pending(std::uint64_t offset_bytes, std::span<const std::byte> data);
  void put_durable(std::uint64_t offset_bytes, std::span<const std::byte> data);
  void make_pending_durable();
  void lose_some_pending();
  void drop_what_is_not_on_disk();

  std::mutex mutex_;
  std::vector<std::byte> durable_;
  std::vector<std::byte> cache_;
  PendingSectors pending_;
  Hook hook_;
  std::function<void()> gate_;
  std::optional<Failure> failure_;
  std::array<std::uint64_t, 6> counts_{};
  std::uint64_t operation_count_ = 0;
  const SimulatedDevice* owner_ = nullptr;
};

/// A SimulatedDisk, opened.
class SimulatedDevice final : public BlockDevice {
public:
  explicit SimulatedDevice(std::shared_ptr<SimulatedDisk> disk, Access access = Access::read_write);
  ~SimulatedDevice() override;

  [[nodiscard]] std::string name() const override { return "simulated disk"; }
  [[nodiscard]] DeviceCapabilities capabilities() const override;
  Result<std::uint64_t> size_bytes() override;
  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override;
  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override;
  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override;
  Status flush() override;
  Status resize(std::uint64_t size_bytes) override;
  Status lock_for_writing() override;
  void unlock() override;
  /// What it says of itself, instead. Without a lock it can be opened beside another owner.
  void set_capabilities(const DeviceCapabilities& can) { capabilities_ = can; }

private:
  Status check(const char* verb, std::uint64_t offset_bytes, std::uint64_t length_bytes,
               bool writes) const;
  [[nodiscard]] Error injected(const char* verb, std::uint64_t offset_bytes) const;

  std::shared_ptr<SimulatedDisk> disk_;
  Access access_;
  std::optional<DeviceCapabilities> capabilities_;
};

} // namespace vnvram::test
