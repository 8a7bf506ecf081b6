// What is in a file or on a device decides what becomes of it, whoever has written it there.
#include "swtpm/file_place.h"

#include <array>
#include <limits>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "convert/swtpm_linear_file.h"
#include "support/expect_status.h"
#include "unit/convert/swtpm_samples.h"
#include "unit/swtpm/place_fixture.h"
#include "vnvram/open_device.h"
#include "vnvram/store.h"

namespace vnvram::test {
namespace {

constexpr std::uint64_t no_place = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t image_size_max_bytes = std::uint64_t{3} << 19U;

class FilePlaceTest : public PlaceTest {
protected:
  Status enter() {
    FilePlace place(path_, std::nullopt, setup());
    const auto entered = place.enter(ImagePlace::Visit::first);
    return entered.ok() ? Status() : entered.error();
  }
  /// The size of the state that the image holds.
  std::uint64_t permanent_size_bytes() {
    auto device = open_device(path_, Access::read_only);
    EXPECT_TRUE(device.ok());
    const auto store = Store::open(*std::move(device), {.access = Access::read_only});
    EXPECT_TRUE(store.ok()) << (store.ok() ? "" : store.error().text());
    return store.ok() ? (*store)->blob("tpm2.permanent").value().size_bytes : 0;
  }
  void expect_refused(ErrorKind kind, const Bytes& bytes) {
    put(path_, bytes);
    const Status entered = enter();
    ASSERT_FALSE(entered.ok());
    EXPECT_EQ(kind_name(entered.error().kind()), kind_name(kind)) << entered.error().text();
    EXPECT_EQ(get(path_), bytes);
  }
  GuardBlock guard() {
    return read_guard(std::span<const std::byte>(get(path_)).first(guard_size_bytes));
  }
  void overwrite_guard(const GuardBlock& guard) {
    Bytes bytes = get(path_);
    write_guard(guard, std::span(bytes).first(guard_size_bytes));
    put(path_, bytes);
  }
  static void put_number(Bytes& file, std::size_t place, std::uint32_t value) {
    for (std::size_t at = 0; at < sizeof(value); ++at) {
      file.at(place + at) = static_cast<std::byte>(value >> (8 * at) & 0xffU);
    }
  }

  std::string path_ = path("state");
};

TEST_F(FilePlaceTest, WhatIsMissingOrBlankBecomesANewTpms) {
  for (const bool is_there : {false, true}) {
    if (is_there) {
      put(path_, Bytes(1000));
      ASSERT_EQ(::chmod(path_.c_str(), 0604), 0);
    }
    ASSERT_OK(enter());
    EXPECT_EQ(guard().state, GuardBlock::State::whole);
    EXPECT_EQ(permanent_size_bytes(), 0U);
    EXPECT_LE(std::filesystem::file_size(path_), image_size_max_bytes);
    struct stat status {};
    ASSERT_EQ(::stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, is_there ? 0604U : 0640U);
    std::filesystem::remove(path_);
  }
}

TEST_F(FilePlaceTest, WithoutAFolderThereIsNoFile) {
  path_ = path("missing/state");
  EXPECT_KIND(enter(), absent);
}

TEST_F(FilePlaceTest, WhatIsForeignStaysAsItIs) {
  expect_refused(ErrorKind::exists, Bytes(5000, std::byte{1}));
  Bytes bytes(1U << 21U);
  bytes.at(4095) = std::byte{1};
  expect_refused(ErrorKind::exists, bytes);
}

// Where file systems and others have their marks.
TEST_F(FilePlaceTest, WhatBeginsWithZerosIsNotBlankForThat) {
  for (const std::size_t offset : {4096U, 32769U, 65600U, 3U << 20U}) {
    Bytes bytes(4U << 20U);
    bytes.at(offset) = std::byte{1};
    expect_refused(ErrorKind::exists, bytes);
  }
}

TEST_F(FilePlaceTest, AnImageWhoseGuardIsLostStays) {
  ASSERT_OK(enter());
  Bytes bytes = get(path_);
  std::fill_n(bytes.begin(), guard_size_bytes, std::byte{0});
  put(path_, bytes);
  [[maybe_unused]] const Status entered = enter(); // Who opens it finds that it is damaged.
  EXPECT_EQ(get(path_), bytes);
}

TEST_F(FilePlaceTest, NoFlippedBitOfAGuardMakesANewTpm) {
  put(path_, swtpm_sample("linear.bin"));
  ASSERT_OK(enter());
  const Bytes made = get(path_);
  constexpr std::size_t numbers_begin = 256 * 8;
  constexpr std::size_t numbers_end = 288 * 8;
  const auto step = [&](std::size_t bit) -> std::size_t {
    return bit >= numbers_begin && bit < numbers_end ? 7 : 61;
  };
  for (std::size_t bit = 0; bit < numbers_end; bit += step(bit)) {
    Bytes bytes = made;
    bytes.at(bit / 8) ^= std::byte{1} << (bit % 8);
    put(path_, bytes);
    [[maybe_unused]] const Status entered = enter();
    const Bytes after = get(path_);
    ASSERT_TRUE(
        std::equal(after.begin() + guard_size_bytes, after.end(), made.begin() + guard_size_bytes))
        << "bit " << bit;
  }
}

TEST_F(FilePlaceTest, WhatAnotherProcessHasOpenIsNotTakenOver) {
  const Bytes linear = swtpm_sample("linear.bin");
  put(path_, linear);
  const UniqueFd open(::open(path_.c_str(), O_RDWR)); // Inherited, and so the child's, too.
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  const Status entered = enter();
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_KIND(entered, in_use);
  EXPECT_EQ(get(path_), linear);
}

TEST_F(FilePlaceTest, WhatWasThereOnceIsNotMadeAnew) {
  FilePlace place(path_, std::nullopt, setup());
  ASSERT_OK(place.enter(ImagePlace::Visit::first));
  EXPECT_OK(place.check());
  std::filesystem::remove(path_);
  EXPECT_KIND(place.check(), stale);
  place.leave();
  EXPECT_KIND(place.enter(ImagePlace::Visit::again), absent);
}

TEST_F(FilePlaceTest, ItHasOneTakerAtATime) {
  FilePlace one(path_, std::nullopt, setup());
  ASSERT_OK(one.enter(ImagePlace::Visit::first));
  const Bytes before = get(path_);
  EXPECT_KIND(enter(), in_use);
  EXPECT_EQ(get(path_), before);
  one.leave();
  ASSERT_OK(enter());
}

TEST_F(FilePlaceTest, SwtpmsFileIsTakenOverAndKept) {
  const Bytes linear = swtpm_sample("linear.bin");
  put(path_, linear);
  ASSERT_OK(enter());
  EXPECT_GT(permanent_size_bytes(), 1000U);
  const GuardBlock made = guard();
  EXPECT_EQ(made.state, GuardBlock::State::whole);
  const Bytes now = get(path_);
  const auto kept = std::span(now).subspan(made.kept_offset_bytes, made.kept_size_bytes);
  EXPECT_TRUE(std::ranges::equal(kept, std::span(linear).first(made.kept_size_bytes)));
  EXPECT_LE(guard_size_bytes + made.image_size_bytes, made.kept_offset_bytes);
}

TEST_F(FilePlaceTest, AZeroedMarkIsANewTpm) {
  Bytes linear = swtpm_sample("linear.bin");
  std::fill_n(linear.begin(), 8, std::byte{0});
  put(path_, linear);
  ASSERT_OK(enter());
  EXPECT_EQ(permanent_size_bytes(), 0U);
  EXPECT_EQ(guard().kept_size_bytes, 0U);
}

TEST_F(FilePlaceTest, AZeroedMarkOfAGuardIsANewTpmWhateverWasGoingOn) {
  for (const auto state : {GuardBlock::State::whole, GuardBlock::State::taking_over}) {
    put(path_, swtpm_sample("linear.bin"));
    ASSERT_OK(enter());
    GuardBlock made = guard();
    made.state = state;
    overwrite_guard(made);
    Bytes bytes = get(path_);
    std::fill_n(bytes.begin(), 8, std::byte{0});
    put(path_, bytes);
    ASSERT_OK(enter());
    EXPECT_EQ(permanent_size_bytes(), 0U);
  }
}

TEST_F(FilePlaceTest, ACutTakeoverGoesOn) {
  put(path_, swtpm_sample("linear.bin"));
  ASSERT_OK(enter());
  const std::uint64_t size_bytes = permanent_size_bytes();
  GuardBlock made = guard();
  made.state = GuardBlock::State::taking_over;
  overwrite_guard(made);
  Bytes bytes = get(path_); // Nothing of the image is there.
  std::fill_n(bytes.begin() + guard_size_bytes, made.image_size_bytes, std::byte{0});
  put(path_, bytes);
  ASSERT_OK(enter());
  EXPECT_EQ(permanent_size_bytes(), size_bytes);
}

TEST_F(FilePlaceTest, HostileHeadersAreRefused) {
  const Bytes linear = swtpm_sample("linear.bin");
  struct Change {
    std::size_t place;
    std::uint32_t value;
  };
  // The first section's place, its length, and the length of what is in it.
  for (const Change& change : {Change{12, 1}, Change{12, 0xffffffff}, Change{16, 0xffffffff},
                               Change{16, 4096}, Change{20, 0}, Change{20, 16}}) {
    Bytes bytes = linear;
    put_number(bytes, change.place, change.value);
    expect_refused(ErrorKind::corrupt, bytes);
  }
}

// A file with a hole is as long as anybody says.
TEST_F(FilePlaceTest, AStateThatIsNoneForItsSizeIsNotRead) {
  Bytes linear = swtpm_sample("linear.bin");
  put_number(linear, 16, 0xf0000000);
  put_number(linear, 20, 0xf0000000);
  put(path_, linear);
  std::filesystem::resize_file(path_, std::uint64_t{1} << 32U);
  EXPECT_KIND(enter(), exists);
  EXPECT_EQ(std::filesystem::file_size(path_), std::uint64_t{1} << 32U);
}

TEST_F(FilePlaceTest, HostileGuardsAreRefused) {
  put(path_, swtpm_sample("linear.bin"));
  ASSERT_OK(enter());
  GuardBlock made = guard();
  made.state = GuardBlock::State::taking_over;
  const auto refuse = [&](const GuardBlock& guard) {
    overwrite_guard(guard);
    expect_refused(ErrorKind::corrupt, get(path_));
  };
  for (const std::uint64_t value : {std::uint64_t{0}, no_place, no_place - block_size_bytes}) {
    GuardBlock guard = made;
    guard.kept_offset_bytes = value;
    refuse(guard);
    guard = made;
    guard.image_size_bytes = value;
    refuse(guard);
    guard = made;
    guard.kept_size_bytes = value == 0 ? 1 : value;
    guard.state = GuardBlock::State::taking_over;
    overwrite_guard(guard);
    EXPECT_FALSE(enter().ok());
  }
  GuardBlock overlapping = made;
  overlapping.image_size_bytes = made.kept_offset_bytes;
  refuse(overlapping);
  overwrite_guard(made);
  ASSERT_OK(enter());
}

} // namespace
} // namespace vnvram::test
