// An image in memory that is copied to another place there.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "backup/block_copier.h"
#include "backup/block_copy.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {

/// Asks before it passes on, and after so many writes fails all that come.
class MeddledDevice final : public ForwardingDevice {
public:
  using ForwardingDevice::ForwardingDevice;

  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override {
    if (before_read) {
      before_read(offset_bytes);
    }
    Status done = read_fails && read_fails() ? Status(Error(ErrorKind::io, "gone"))
                                             : ForwardingDevice::read(offset_bytes, buffer);
    if (done && after_read) {
      after_read(offset_bytes, buffer);
    }
    return done;
  }
  Status flush() override {
    if (before_flush) {
      before_flush();
    }
    return ForwardingDevice::flush();
  }
  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    const Status may = count_write();
    return may ? ForwardingDevice::write(offset_bytes, data) : may;
  }
  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    const Status may = count_write();
    return may ? ForwardingDevice::write_durable(offset_bytes, data) : may;
  }

  std::function<void(std::uint64_t offset_bytes)> before_read;
  std::function<void(std::uint64_t offset_bytes, std::span<std::byte> read)> after_read;
  std::function<bool()> read_fails;
  std::function<void()> before_write;
  std::function<void()> before_flush;
  unsigned writes_max = ~0U;
  unsigned failing_write = ~0U; ///< This one alone, from 0.
  unsigned writes = 0;

private:
  Status count_write() {
    if (before_write) {
      before_write();
    }
    const unsigned write = writes++;
    return write < writes_max && write != failing_write ? Status()
                                                        : Error(ErrorKind::io, "cut off");
  }
};

class BlockCopyTest : public StoreFixture {
protected:
  static constexpr std::uint64_t size_bytes = std::uint64_t{1} << 20U;

  void SetUp() override { create({spec("a", 64 << 10U)}, size_bytes, 256 << 10U); }

  void write(Store& store, unsigned seed) { EXPECT_OK(store.write("a", pattern(30000, seed))); }
  /// Until it is held, an owner that changes it while the second half is read. All of them outlive
  /// the source.
  void outrun(MeddledDevice& source, Store& store, const bool& held, unsigned& seed) {
    source.before_read = [&](std::uint64_t offset_bytes) {
      if (!held && offset_bytes > size_bytes / 2) {
        write(store, ++seed);
        EXPECT_OK(store.checkpoint());
      }
    };
  }
  /// As it is for who opens it.
  static Bytes content_of(const std::shared_ptr<MemoryDisk>& disk, const KeyRing& keys = {}) {
    auto store = Store::open(std::make_unique<MemoryDevice>(disk, Access::read_only),
                             {.access = Access::read_only, .background = false, .keys = keys});
    EXPECT_OK(store);
    return store ? (*store)->read("a").value() : Bytes();
  }
  Result<BlockCopyReport> copy(BlockCopySource source, BlockDevice& target) {
    return BlockCopier(source, target_, target).run();
  }

  /// One bit of the superblock that the copy is opened by, or of the other one.
  void damage_superblock(bool is_current) {
    MemoryDevice device(out_);
    const auto look = look_at_superblocks(device);
    ASSERT_OK(look);
    const unsigned copy = is_current ? look->current.copy : 1 - look->current.copy;
    out_->bytes()[copy * block_size_bytes + 100] ^= std::byte{1};
  }
  /// Where records begin in the source's ring, in its order there.
  std::vector<std::size_t> record_places() {
    std::vector<std::size_t> places;
    const auto& bytes = disk_->bytes();
    for (std::size_t at = format::ring_start_block * block_size_bytes; at < bytes.size();
         at += block_size_bytes) {
      if (std::memcmp(bytes.data() + at, "NVRc", 4) == 0) {
        places.push_back(at);
      }
    }
    return places;
  }
  /// Another image, which is there before the copy comes.
  static void put_other_image(const std::shared_ptr<MemoryDisk>& disk) {
    MemoryDevice device(disk);
    CreateOptions other;
    other.ring_size_bytes = 256 << 10U;
    other.force = true;
    other.blobs.push_back({.spec = spec("other", 1000)});
    ASSERT_OK(create_image(device, other));
  }

  BlockCopyTarget target_;
  std::shared_ptr<MemoryDisk> out_ = std::make_shared<MemoryDisk>(size_bytes);
};

} // namespace vnvram::test
