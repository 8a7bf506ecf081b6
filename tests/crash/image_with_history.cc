#include "crash/image_with_history.h"

#include <utility>

#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "support/random.h"
#include "vnvram/rescue.h"

namespace vnvram::test {

std::unique_ptr<Store> open_disk(const std::shared_ptr<MemoryDisk>& disk, Access access) {
  OpenOptions options = deterministic_options();
  options.access = access;
  auto store = Store::open(std::make_unique<MemoryDevice>(disk, access), options);
  EXPECT_TRUE(store.ok()) << store.error().text();
  return store ? *std::move(store) : nullptr;
}

ImageWithHistory make_image_with_history(End end) {
  ImageWithHistory made;
  const auto disk = std::make_shared<MemoryDisk>(std::size_t{512} << 10U);
  CreateOptions options;
  options.ring_size_bytes = std::uint64_t{96} << 10U;
  for (const char* name : {"a", "b", "c"}) {
    options.blobs.push_back({{.name = name, .type = "test", .size_max_bytes = 15000}, {}});
  }
  MemoryDevice fresh(disk);
  EXPECT_TRUE(create_image(fresh, options).ok());
  auto store = open_disk(disk);
  Random random(5);
  for (unsigned step = 0; step < 90; ++step) {
    const std::string name(1, static_cast<char>('a' + random.below(3)));
    const std::vector<std::byte> bytes(20 + random.below(step < 3 ? 12000 : 900),
                                       static_cast<std::byte>(step + 1));
    EXPECT_TRUE(store->write_range(name, random.below(3000), bytes).ok());
    const auto info = store->blob(name);
    made.versions[name][info->generation] = *store->read(name);
    if (step % 10 == 0) {
      made.earlier.push_back(disk->bytes());
    }
    if (step % 25 == 24) {
      EXPECT_TRUE(store->checkpoint().ok());
    } else if (step == 60) {
      EXPECT_TRUE(store->close().ok());
      store = open_disk(disk);
    }
  }
  if (end == End::clean) {
    EXPECT_TRUE(store->close().ok());
  }
  made.bytes = disk->bytes();
  return made;
}

std::string first_problem(const std::vector<std::byte>& image) {
  MemoryDevice device(std::make_shared<MemoryDisk>(image), Access::read_only);
  const auto report = check_image(device);
  if (!report) {
    return report.error().text();
  }
  return report->clean() ? "" : report->problems.front().place + report->problems.front().what;
}

std::vector<std::byte> repaired(const std::vector<std::byte>& damaged, RepairReport& report) {
  const auto disk = std::make_shared<MemoryDisk>(damaged);
  MemoryDevice on_disk(disk);
  const Result<RepairReport> done = repair_image(on_disk, false);
  EXPECT_TRUE(done.ok()) << done.error().text();
  report = done ? *done : RepairReport{};
  return disk->bytes();
}

} // namespace vnvram::test
