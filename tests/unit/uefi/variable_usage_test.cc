// How full a variable store is, by what firmware has written.
#include "uefi/variable_usage.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "uefi/flash_layout.h"

namespace vnvram {
namespace {

using namespace uefi_flash;

constexpr std::uint64_t volume_header_bytes = 72;
constexpr std::uint32_t store_bytes = 4096;
constexpr std::uint64_t variables_bytes = store_bytes - sizeof(StoreHeader);

class VariableUsageTest : public ::testing::Test {
protected:
  VariableUsageTest() : flash_(8192, std::byte{0xff}) { format(authenticated_store); }
  void format(const Guid& type) {
    VolumeHeader volume{};
    volume.length_bytes = flash_.size();
    volume.signature = volume_signature;
    volume.header_length_bytes = volume_header_bytes;
    put(0, volume);
    put(volume_header_bytes, StoreHeader{.type = type,
                                         .size_bytes = store_bytes,
                                         .format = store_formatted,
                                         .state = store_healthy,
                                         .reserved = 0,
                                         .reserved_too = 0});
  }
  template <typename T> void put(std::uint64_t offset_bytes, const T& value) {
    std::memcpy(flash_.data() + offset_bytes, &value, sizeof(value));
  }
  /// In a store that knows Secure Boot. Returns what it takes.
  std::uint64_t add(std::uint8_t state, std::uint32_t name_bytes, std::uint32_t data_bytes) {
    put(next_, std::uint16_t{0x55aa});
    put(next_ + 2, state);
    put(next_ + 36, name_bytes);
    put(next_ + 40, data_bytes);
    const std::uint64_t size_bytes = (60 + name_bytes + data_bytes + 3) / 4 * 4;
    next_ += size_bytes;
    return size_bytes;
  }
  [[nodiscard]] std::optional<VariableUsage> usage() const {
    return variable_usage(
        [this](std::uint64_t offset_bytes, std::span<std::byte> buffer) {
          if (offset_bytes > flash_.size() || flash_.size() - offset_bytes < buffer.size()) {
            ADD_FAILURE() << "read of " << buffer.size() << " at " << offset_bytes;
            return false;
          }
          std::copy_n(flash_.begin() + static_cast<std::ptrdiff_t>(offset_bytes), buffer.size(),
                      buffer.begin());
          return true;
        },
        flash_.size());
  }

  std::vector<std::byte> flash_;
  std::uint64_t next_ = volume_header_bytes + sizeof(StoreHeader);
};

TEST_F(VariableUsageTest, AFreshStoreIsEmpty) {
  ASSERT_TRUE(usage());
  EXPECT_EQ(usage()->size_bytes, variables_bytes);
  EXPECT_EQ(usage()->used_bytes, 0U);
}

TEST_F(VariableUsageTest, WhatWasDeletedDoesNotCount) {
  const std::uint64_t there = add(0x3f, 10, 7);
  add(0x3c, 20, 500);                             // Replaced.
  add(0x7f, 20, 30);                              // Never finished.
  const std::uint64_t being = add(0x3e, 14, 100); // Until the new one is whole.
  EXPECT_EQ(usage()->used_bytes, there + being);
}

TEST_F(VariableUsageTest, AStoreWithoutSecureBootHasShorterHeaders) {
  format(plain_store);
  put(next_, std::uint16_t{0x55aa});
  put(next_ + 2, std::uint8_t{0x3f});
  put(next_ + 8, std::uint32_t{10});
  put(next_ + 12, std::uint32_t{10});
  EXPECT_EQ(usage()->used_bytes, 52U);
}

TEST_F(VariableUsageTest, NonsenseEndsTheWalk) {
  const std::uint64_t there = add(0x3f, 10, 8);
  const std::uint64_t nonsense = next_;
  add(0x3f, 10, 8);
  for (const std::uint32_t size_bytes : {0xffffffffU, 0x7fffffffU, store_bytes}) {
    put(nonsense + 40, size_bytes);
    EXPECT_EQ(usage()->used_bytes, there);
  }
}

TEST_F(VariableUsageTest, AStoreIsFullToItsLastByte) {
  while (next_ + 100 <= volume_header_bytes + store_bytes) {
    add(0x3f, 10, 30);
  }
  add(0x3f, 1, static_cast<std::uint32_t>(volume_header_bytes + store_bytes - next_ - 61));
  EXPECT_EQ(usage()->used_bytes, usage()->size_bytes);
}

TEST_F(VariableUsageTest, WhereThereIsNoStoreNothingIsKnown) {
  const std::vector<std::byte> good = flash_;
  put(volume_header_bytes + offsetof(StoreHeader, size_bytes), std::uint32_t{8192});
  EXPECT_FALSE(usage()); // It would end behind the flash.
  flash_ = good;
  put(48, std::uint16_t{0xffff}); // The length of the volume's header.
  EXPECT_FALSE(usage());
  flash_ = good;
  flash_[40] = {};
  EXPECT_FALSE(usage());
  flash_.clear();
  EXPECT_FALSE(usage());
}

} // namespace
} // namespace vnvram
