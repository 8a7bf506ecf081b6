#include <filesystem>
#include <functional>
#include <stdexcept>

#include "bench/bench_image.h"
#include "bench/measurements.h"
#include "bench/nbd_floor.h"
#include "bench/stopwatch.h"
#include "device/nbd_device.h"
#include "support/nbd_server.h"

namespace vnvram::bench {
namespace {

using test::NbdServer;

constexpr std::uint64_t nbd_image_size_bytes = std::uint64_t{16} << 20U;
constexpr std::uint64_t floor_size_bytes = std::uint64_t{2} << 20U; // About as large as the ring.

/// The export's first part is the image, the rest is the floor's.
class FirstPart final : public ForwardingDevice {
public:
  explicit FirstPart(std::unique_ptr<BlockDevice> device)
      : ForwardingDevice(*device), device_(std::move(device)) {}
  Result<std::uint64_t> size_bytes() override { return nbd_image_size_bytes; }
  Status write_durable_and_read(std::uint64_t write_offset_bytes, std::span<const std::byte> data,
                                std::uint64_t read_offset_bytes,
                                std::span<std::byte> buffer) override {
    return device_->write_durable_and_read(write_offset_bytes, data, read_offset_bytes, buffer);
  }

private:
  std::unique_ptr<BlockDevice> device_;
};

struct Kind {
  const char* name;
  const char* format;
  bool private_server; ///< As the library starts one for a VM image.
  std::function<std::unique_ptr<NbdServer>(const std::string& image)> start;
};

std::vector<Kind> kinds() {
  const auto qemu_nbd = [](const char* format) {
    return [format](const std::string& image) {
      return NbdServer::qemu_nbd({"--format", format, image});
    };
  };
  return {
      {.name = "nbdkit file",
       .format = "raw",
       .private_server = false,
       .start =
           [](const std::string& image) {
             return NbdServer::nbdkit({"file", image});
           }},
      {.name = "qemu-nbd raw", .format = "raw", .private_server = false, .start = qemu_nbd("raw")},
      {.name = "qemu-nbd qcow2, private",
       .format = "qcow2",
       .private_server = true,
       .start = qemu_nbd("qcow2")}};
}

/// Every block of it allocated, as create leaves a file.
void make_disk(const std::string& path, const std::string& format) {
  const std::uint64_t size_bytes = nbd_image_size_bytes + floor_size_bytes;
  const test::Outcome made = test::run({"qemu-img", "create", "-q", "-f", format, "-o",
                                        "preallocation=full", path, std::to_string(size_bytes)});
  if (made.exit_status != 0) {
    throw std::runtime_error("qemu-img: " + made.output);
  }
}

std::unique_ptr<BlockDevice> connect(const NbdServer& server, bool private_server) {
  NbdTarget target;
  target.name = server.uri();
  target.uri = server.uri();
  target.private_server = private_server;
  return std::make_unique<FirstPart>(require(NbdDevice::connect(target, Access::read_write)));
}

void time(NbdResult& result, const NbdServer& server, const Kind& kind, const Amount& amount) {
  const auto store = require(Store::open(connect(server, kind.private_server)));
  NbdFloor floor(server.uri(), nbd_image_size_bytes, floor_size_bytes);
  CommitKind commit = commit_kinds().at(1);
  for (std::uint64_t i = 0; i < amount.timed_commits; ++i) {
    result.floor.add(microseconds([&] { floor.write(); }));
    result.commit.add(microseconds([&] { commit.commit(*store); }));
  }
  require(store->close());
}

NbdResult measure(const std::string& directory, const Kind& kind, const Amount& amount) {
  const std::string disk = directory + "/nbd-disk";
  make_disk(disk, kind.format);
  const std::unique_ptr<NbdServer> server = kind.start(disk);
  NbdResult result;
  result.server = kind.name;
  const std::unique_ptr<BlockDevice> device = connect(*server, kind.private_server);
  require(create_image(*device, options_for({range_blobs().front(), whole_blobs().front()})));
  const CommitCost counted = count_commits_on(connect(*server, kind.private_server), amount);
  result.commits = counted.commits;
  result.worst = counted.worst;
  time(result, *server, kind, amount);
  std::filesystem::remove(disk);
  return result;
}

} // namespace

std::vector<NbdResult> measure_nbd(const std::string& directory, const Amount& amount) {
  std::vector<NbdResult> results;
  for (const Kind& kind : kinds()) {
    results.push_back(measure(directory, kind, amount));
  }
  return results;
}

} // namespace vnvram::bench
