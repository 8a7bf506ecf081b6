// Read-only openers beside an owner that commits as fast as it can.
#include <atomic>
#include <thread>

#include "device/forwarding_device.h"
#include "support/sanitizers.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

using test::under_thread_sanitizer;

class ReadingBesideOwner : public StoreFixture {};

/// Holds one content for some reads, and a later one from then on.
class MovingDevice final : public ForwardingDevice {
public:
  MovingDevice(std::shared_ptr<MemoryDisk> disk, const Bytes& later, unsigned reads_before)
      : ForwardingDevice(device_), device_(disk, Access::read_only), disk_(std::move(disk)),
        later_(later), reads_left_(reads_before) {}

  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override {
    if (reads_left_ == 0) {
      disk_->bytes() = later_;
    } else {
      --reads_left_;
    }
    return device_.read(offset_bytes, buffer);
  }

private:
  MemoryDevice device_;
  std::shared_ptr<MemoryDisk> disk_;
  const Bytes& later_;
  unsigned reads_left_;
};

// However far the owner gets between two reads: all around the ring, too, where another record is
// in the place of one whose header was read.
TEST_F(ReadingBesideOwner, WhateverComesBetweenTwoReadsOneGenerationIsSeen) {
  create({spec("a", 9000), spec("b", 9000)}, std::uint64_t{1} << 20U, 64 * 1024);
  std::vector<Bytes> images;
  {
    auto owner = open(inline_options());
    for (unsigned commit = 1; commit <= 24; ++commit) {
      const Bytes content = pattern(9000, commit);
      Transaction both;
      both.write("a", std::span<const std::byte>(content));
      both.write("b", std::span<const std::byte>(content));
      ASSERT_OK(owner->commit(both));
      images.push_back(disk_->bytes());
    }
  }
  constexpr unsigned reads_max = 14;
  unsigned opened = 0;
  std::uint64_t number = 0;
  for (std::size_t now = 0; now < images.size(); ++now) {
    for (std::size_t later = now + 1; later < images.size(); later += 1 + later % 3) {
      for (unsigned reads = 1; reads < reads_max; ++reads) {
        if (number++ % test::case_step != 0) {
          continue;
        }
        auto device = std::make_unique<MovingDevice>(std::make_shared<MemoryDisk>(images[now]),
                                                     images[later], reads);
        OpenOptions options = inline_options();
        options.access = Access::read_only;
        const auto reader = Store::open(std::move(device), options);
        ASSERT_TRUE(reader.ok() || reader.error().kind() == ErrorKind::stale)
            << reader.error().text();
        if (!reader) {
          continue;
        }
        const auto a = (*reader)->read("a");
        const auto b = (*reader)->read("b");
        ASSERT_EQ(a.ok(), b.ok());
        ASSERT_TRUE(!a || *a == *b) << now << " to " << later << " behind read " << reads;
        ++opened;
      }
    }
  }
  EXPECT_GT(opened, 0U);
}

TEST_F(ReadingBesideOwner, EachReaderSeesOneWholeGeneration) {
  create({spec("a", 30000), spec("b", 30000)}, std::uint64_t{2} << 20U, 256 * 1024);
  auto owner = open(OpenOptions{});
  Transaction begin;
  begin.write("a", Bytes(30000, std::byte{1}));
  begin.write("b", Bytes(30000, std::byte{1}));
  ASSERT_OK(owner->commit(begin));

  std::atomic<bool> stop = false;
  std::jthread writer([&] {
    for (unsigned i = 2; !stop; ++i) {
      const Bytes content(30000, static_cast<std::byte>(i));
      Transaction both;
      both.write("a", std::span<const std::byte>(content));
      both.write("b", std::span<const std::byte>(content));
      ASSERT_OK(owner->commit(both));
    }
  });
  constexpr int wanted = under_thread_sanitizer ? 40 : 200;
  int whole = 0;
  std::uint64_t last_generation = 0;
  for (int i = 0; i < 20000 && whole < wanted; ++i) {
    OpenOptions options = inline_options();
    options.access = Access::read_only;
    auto reader = try_open(options);
    if (!reader) {
      ASSERT_EQ(kind_name(reader.error().kind()), kind_name(ErrorKind::stale))
          << reader.error().text();
      continue;
    }
    const auto a = (*reader)->read("a");
    const auto b = (*reader)->read("b");
    if (!a || !b) {
      const Error& error = a ? b.error() : a.error();
      ASSERT_EQ(kind_name(error.kind()), kind_name(ErrorKind::stale)) << error.text();
      continue;
    }
    ASSERT_EQ(*a, Bytes(30000, a->front()));
    ASSERT_EQ(*a, *b);
    ASSERT_GE((*reader)->info().generation, last_generation);
    last_generation = (*reader)->info().generation;
    ++whole;
  }
  stop = true;
  EXPECT_EQ(whole, wanted);
}

// Records of one block: a reader meets many that were not there when it began.
TEST_F(ReadingBesideOwner, AHealthyImageIsNeverCalledDamaged) {
  create({spec("a", 100)}, std::uint64_t{4} << 20U);
  auto owner = open(OpenOptions{});
  std::atomic<bool> stop = false;
  std::jthread writer([&] {
    for (unsigned i = 0; !stop; ++i) {
      ASSERT_OK(owner->write("a", pattern(100, i)));
    }
  });
  for (int i = 0; i < (under_thread_sanitizer ? 20 : 100); ++i) {
    OpenOptions options = inline_options();
    options.access = Access::read_only;
    const auto reader = try_open(options);
    if (!reader) {
      EXPECT_EQ(kind_name(reader.error().kind()), kind_name(ErrorKind::stale))
          << reader.error().text();
    }
    auto there = MemoryDevice(disk_, Access::read_only);
    const auto report = check_image(there);
    if (report) {
      EXPECT_TRUE(report->clean()) << report->problems[0].place << ": " << report->problems[0].what;
    } else {
      EXPECT_EQ(kind_name(report.error().kind()), kind_name(ErrorKind::stale))
          << report.error().text();
    }
  }
  stop = true;
}

} // namespace
} // namespace vnvram
