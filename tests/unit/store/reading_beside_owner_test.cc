// Read-only openers beside an owner that commits as fast as it can.
#include <atomic>
#include <thread>

#include "support/thread_sanitizer.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

using test::under_thread_sanitizer;

class ReadingBesideOwner : public StoreFixture {};

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
