#include "crash/shared_image.h"

#include <utility>
#include <vector>

#include "crash/crash_explorer.h"
#include "support/expect_status.h"

namespace vnvram::test {
namespace {

constexpr std::uint64_t shared_image_size_bytes = std::uint64_t{384} << 10U;
constexpr std::uint64_t shared_ring_size_bytes = std::uint64_t{64} << 10U;

} // namespace

HandOverNumber hand_over_number(unsigned value) {
  HandOverNumber number;
  number.bytes.front() = static_cast<std::byte>(value);
  return number;
}

std::shared_ptr<SimulatedDisk> shared_disk(bool encrypted, StoreState& content) {
  auto disk = std::make_shared<SimulatedDisk>(std::vector<std::byte>(shared_image_size_bytes));
  CreateOptions create;
  create.ring_size_bytes = shared_ring_size_bytes;
  create.blobs = {{.spec = {.name = "a", .type = "test", .size_max_bytes = 9000}, .content = {}}};
  content.register_blob(create.blobs.back().spec);
  if (encrypted) {
    create.data_key = data_key();
  }
  SimulatedDevice device(disk);
  EXPECT_TRUE(create_image(device, create).ok());
  return disk;
}

Result<std::unique_ptr<Store>> open_as(const std::shared_ptr<SimulatedDisk>& disk,
                                       const std::optional<GoOn>& go_on, bool locks) {
  auto device = std::make_unique<SimulatedDevice>(disk);
  if (!locks) {
    device->set_capabilities({.write = true});
  }
  OpenOptions options = deterministic_options();
  options.go_on = go_on;
  return Store::open(std::move(device), std::move(options));
}

OwnerEpoch epoch_of(const Store& store) {
  const AnchorPoint point = store.image_point();
  return {.number = point.epoch_number, .random = point.epoch_random};
}

} // namespace vnvram::test
