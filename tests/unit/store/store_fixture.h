// Images in memory, and the short words that the tests of the store are written in.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "device/memory_device.h"
#include "support/expect_status.h"
#include "vnvram/store.h"

namespace vnvram {

using Bytes = std::vector<std::byte>;

[[nodiscard]] Bytes bytes(std::string_view text);
[[nodiscard]] Bytes pattern(std::size_t size_bytes, unsigned seed);
[[nodiscard]] BlobSpec spec(std::string name, std::uint64_t size_max_bytes);

class StoreFixture : public ::testing::Test {
protected:
  /// A fresh image with these blobs.
  void create(std::vector<BlobSpec> blobs, std::uint64_t size_bytes = std::uint64_t{4} << 20U,
              std::uint64_t ring_size_bytes = 0);
  /// Deterministic (no threads of the store) unless the options say otherwise.
  [[nodiscard]] static OpenOptions inline_options();
  Result<std::unique_ptr<Store>> try_open(OpenOptions options = inline_options());
  std::unique_ptr<Store> open(OpenOptions options = inline_options());
  std::unique_ptr<Store> open_read_only();
  [[nodiscard]] MemoryDevice device() { return MemoryDevice(disk_); }
  /// The disk as a power cut now would leave it, also while threads of a store write.
  [[nodiscard]] std::shared_ptr<MemoryDisk> copy_of_disk();
  /// What a process that dies leaves behind: the disk as it is, and no lock.
  void forget_owner();

  std::shared_ptr<MemoryDisk> disk_;
};

} // namespace vnvram
