// What it costs to see with each commit that the image is still ours.
#include <algorithm>
#include <array>
#include <filesystem>

#include "bench/bench_image.h"
#include "bench/measurements.h"
#include "bench/stopwatch.h"
#include "device/forwarding_device.h"
#include "support/process.h"

namespace vnvram::bench {
namespace {

constexpr std::uint64_t checked_size_bytes = std::uint64_t{8} << 20U;

/// Says of the superblocks what was last written to them, without asking the device: commits on it
/// are durable writes and nothing else.
class Unwatched final : public ForwardingDevice {
public:
  explicit Unwatched(std::unique_ptr<BlockDevice> device)
      : ForwardingDevice(*device), device_(std::move(device)) {
    require(device_->read(0, superblocks_));
  }
  [[nodiscard]] DeviceCapabilities capabilities() const override {
    DeviceCapabilities can = device_->capabilities();
    can.read_beside_write = false;
    return can;
  }
  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override {
    if (offset_bytes + buffer.size() > superblocks_.size()) {
      return device_->read(offset_bytes, buffer);
    }
    std::copy_n(superblocks_.begin() + static_cast<std::ptrdiff_t>(offset_bytes), buffer.size(),
                buffer.begin());
    return {};
  }
  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    if (offset_bytes < superblocks_.size()) {
      std::copy(data.begin(), data.end(),
                superblocks_.begin() + static_cast<std::ptrdiff_t>(offset_bytes));
    }
    return device_->write_durable(offset_bytes, data);
  }

private:
  std::unique_ptr<BlockDevice> device_;
  std::array<std::byte, 2 * block_size_bytes> superblocks_{};
};

/// A loop device over a file, which takes root: without it there is none.
class LoopDevice {
public:
  explicit LoopDevice(const std::string& file) {
    const test::Outcome made = test::run({"losetup", "--find", "--show", file});
    if (made.exit_status == 0) {
      path_ = made.output.substr(0, made.output.find('\n'));
    }
  }
  ~LoopDevice() {
    if (!path_.empty()) {
      test::run({"losetup", "--detach", path_});
    }
  }
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

private:
  std::string path_;
};

/// Commits with and without the check, in turn.
OwnerCheckResult measure(const std::string& where, const std::string& checked,
                         const std::string& unchecked, const Amount& amount) {
  const auto with = require(Store::open(require(open_device(checked, Access::read_write))));
  const auto without = require(Store::open(
      std::make_unique<Unwatched>(require(open_device(unchecked, Access::read_write)))));
  CommitKind commit = commit_kinds().front();
  CommitKind other = commit_kinds().front();
  OwnerCheckResult result;
  result.where = where;
  for (std::uint64_t i = 0; i < amount.timed_commits; ++i) {
    result.without.add(microseconds([&] { other.commit(*without); }));
    result.with.add(microseconds([&] { commit.commit(*with); }));
  }
  require(with->close());
  require(without->close());
  return result;
}

} // namespace

std::vector<OwnerCheckResult> measure_owner_check(const std::string& directory,
                                                  const Amount& amount) {
  const std::array<std::string, 2> files = {directory + "/watched", directory + "/unwatched"};
  for (const std::string& file : files) {
    require(create_image_file(file, checked_size_bytes, options_for({range_blobs().front()})));
  }
  std::vector<OwnerCheckResult> results = {measure("local file", files[0], files[1], amount)};
  {
    const LoopDevice watched(files[0]);
    const LoopDevice unwatched(files[1]);
    if (!watched.path().empty() && !unwatched.path().empty()) {
      results.push_back(measure("loop device", watched.path(), unwatched.path(), amount));
    }
  }
  for (const std::string& file : files) {
    std::filesystem::remove(file);
  }
  return results;
}

} // namespace vnvram::bench
