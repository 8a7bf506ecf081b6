// An image that goes on at another place: what becomes of both when it ends well, and when not.
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <string>

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/image_move.h"
#include "backup/store_move_source.h"
#include "store/written_blocks.h"
#include "support/full_device.h"
#include "support/temporary_directory.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {
namespace {

/// Refuses at the end, or says something before.
class ObstinateSource final : public MoveSource {
public:
  explicit ObstinateSource(MoveSource& source) : source_(source) {}

  BlockDevice& device() override { return source_.device(); }
  Status begin() override {
    return begins ? source_.begin() : Status(Error(ErrorKind::in_use, "held"));
  }
  Result<std::vector<ByteRange>> take_written() override {
    if (before_look) {
      before_look();
    }
    return source_.take_written();
  }
  Status hold() override {
    is_held = true;
    return source_.hold();
  }
  void let_go() override { is_held = false; }
  Result<Sealed> sealed_superblocks(const HandOverNumber& number) override {
    return source_.sealed_superblocks(number);
  }
  Status leave(const HandOverNumber& number, const std::string& to) override {
    EXPECT_TRUE(is_held);
    if (before_leave) {
      before_leave();
    }
    return refusal ? Status(*refusal) : source_.leave(number, to);
  }

  std::function<void()> before_look;
  std::function<void()> before_leave;
  std::optional<Error> refusal;
  bool is_held = false;
  bool begins = true;

private:
  MoveSource& source_;
};

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class ImageMoveTest : public ::testing::Test {
protected:
  void SetUp() override {
    CreateOptions create;
    create.blobs.push_back({.spec = spec("a", 64 << 10U), .content = pattern(30000, 1)});
    ASSERT_OK(create_image_file(old_, 0, create));
    store_ = open(old_);
    source_.emplace(*store_, old_, KeyRing());
    obstinate_.emplace(*source_);
  }
  static Result<std::unique_ptr<Store>> try_open(const std::string& place) {
    auto device = open_device(place, Access::read_write);
    return device ? Store::open(*std::move(device), {.background = false})
                  : Result<std::unique_ptr<Store>>(device.error());
  }
  static std::unique_ptr<Store> open(const std::string& place) {
    auto store = try_open(place);
    EXPECT_OK(store);
    return store ? *std::move(store) : nullptr;
  }
  Result<MoveReport> move() { return move_image(*obstinate_, {.path = new_}, {}); }

  TemporaryDirectory folder_;
  const std::string old_ = folder_.path("old.nvram");
  const std::string new_ = folder_.path("new.nvram");
  std::unique_ptr<Store> store_;
  std::optional<StoreMoveSource> source_;
  std::optional<ObstinateSource> obstinate_;
};

// Somebody else may have moved it there just now.
TEST_F(ImageMoveTest, WhereItCannotBeginNothingThereIsWrittenOver) {
  ASSERT_OK(create_image_file(new_, 0, {.blobs = {{.spec = spec("b", 512), .content = {}}}}));
  const std::string before = content_of(new_);
  obstinate_->begins = false;
  EXPECT_KIND(move_image(*obstinate_, {.path = new_, .force = true}, {}), in_use);
  EXPECT_TRUE(content_of(new_) == before);
  EXPECT_OK(store_->write("a", pattern(3, 1)));
}

TEST_F(ImageMoveTest, WhatHasGotItsNameMeanwhileIsNotReplaced) {
  obstinate_->before_look = [&] { std::ofstream(new_) << "somebody's"; };
  EXPECT_KIND(move(), exists);
  EXPECT_EQ(content_of(new_), "somebody's");
  EXPECT_OK(store_->write("a", pattern(3, 1)));
}

TEST_F(ImageMoveTest, ItHasAllThatWasWrittenMeanwhile) {
  ASSERT_EQ(::chmod(old_.c_str(), 0640), 0);
  unsigned last = 1;
  obstinate_->before_look = [&] {
    if (!obstinate_->is_held) {
      EXPECT_OK(store_->write("a", pattern(30000, ++last)));
    }
  };
  const auto report = move();
  ASSERT_OK(report);
  EXPECT_FALSE(report->undecided);
  EXPECT_GT(last, 1U);
  EXPECT_EQ(report->place, std::filesystem::absolute(new_).string());
  EXPECT_FALSE(store_->write("a", pattern(3, 1)).ok());
  EXPECT_OK(store_->close());
  EXPECT_KIND(try_open(old_), sealed);
  const auto store = open(new_);
  EXPECT_EQ(*store->read("a"), pattern(30000, last));
  EXPECT_FALSE(store->info().sealed);
  EXPECT_OK(store->write("a", pattern(3, 9)));
  EXPECT_EQ(read_public_metadata(store->device())->size(), 0U);
  struct stat made {};
  ASSERT_EQ(::stat(new_.c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 0777U, 0640U);
}

/// How often something was changed about what has this name since it was given it.
int changes_after_naming(int watch, const std::string& name) {
  std::array<char, 16384> events{};
  int changes = -1;
  for (ssize_t read = 0; (read = ::read(watch, events.data(), events.size())) > 0;) {
    for (std::size_t at = 0; at < static_cast<std::size_t>(read);) {
      inotify_event event{};
      std::memcpy(&event, &events.at(at), sizeof event);
      if (event.len != 0 && name == &events.at(at + sizeof event)) {
        changes = (event.mask & IN_MOVED_TO) != 0 ? 0 : changes + 1;
      }
      at += sizeof event + event.len;
    }
  }
  return changes;
}

// Who may write to the folder could have put another file there meanwhile.
TEST_F(ImageMoveTest, AFileHasItsRightsBeforeItsName) {
  ASSERT_EQ(::chmod(old_.c_str(), 06751), 0);
  const UniqueFd watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  ASSERT_GE(::inotify_add_watch(watch.get(), folder_.path("").c_str(), IN_MOVED_TO | IN_ATTRIB), 0);
  ASSERT_OK(move());
  EXPECT_EQ(changes_after_naming(watch.get(), "new.nvram"), 0);
  struct stat made {};
  ASSERT_EQ(::stat(new_.c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 07777U, 0640U);
}

TEST_F(ImageMoveTest, AFileThatTakesTheirPlaceHasOthersRights) {
  ASSERT_EQ(::chmod(old_.c_str(), 0644), 0);
  std::ofstream(new_) << "somebody's";
  ASSERT_EQ(::chmod(new_.c_str(), 0600), 0);
  ASSERT_OK(move_image(*obstinate_, {.path = new_, .force = true}, {}));
  struct stat made {};
  ASSERT_EQ(::stat(new_.c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 07777U, 0600U);
}

TEST_F(ImageMoveTest, WhatWasPutThereInsteadIsNotWrittenTo) {
  const std::string others = folder_.path("others.nvram");
  std::filesystem::create_directory(others);
  obstinate_->refusal = Error(ErrorKind::stale, "the hold has ended");
  obstinate_->before_leave = [&] {
    std::filesystem::remove(new_);
    std::filesystem::create_symlink(others, new_);
  };
  EXPECT_KIND(move(), stale);
  EXPECT_TRUE(std::filesystem::is_symlink(new_)); // It is theirs.
  EXPECT_TRUE(std::filesystem::exists(others));
}

// Such as the next move to the same place, behind a hold that has ended.
TEST_F(ImageMoveTest, AnotherImageThatCameThereIsNotTakenAway) {
  obstinate_->refusal = Error(ErrorKind::stale, "the hold has ended");
  obstinate_->before_leave = [&] {
    std::filesystem::remove(new_);
    ASSERT_OK(create_image_file(new_, std::uint64_t{4} << 20U, {}));
  };
  EXPECT_KIND(move(), stale);
  EXPECT_OK(Store::open(*open_device(new_, Access::read_write)));
}

TEST_F(ImageMoveTest, ARefusalTakesAwayWhatWasMade) {
  obstinate_->refusal = Error(ErrorKind::stale, "the hold has ended");
  EXPECT_KIND(move(), stale);
  EXPECT_FALSE(obstinate_->is_held);
  EXPECT_FALSE(std::filesystem::exists(new_));
  EXPECT_OK(store_->write("a", pattern(3, 1)));
}

TEST_F(ImageMoveTest, SilenceLeavesBothAndOneOpens) {
  obstinate_->refusal = Error(ErrorKind::io, "nobody answers");
  const auto report = move();
  ASSERT_OK(report);
  ASSERT_TRUE(report->undecided);
  EXPECT_OK(store_->close());
  const auto refused = try_open(new_);
  EXPECT_KIND(refused, sealed);
  EXPECT_NE(refused.error().cause().find("an unfinished move"), std::string::npos);
  EXPECT_OK(open(old_)->write("a", pattern(3, 1)));
}

// Of the seal's two superblocks none, or one, is there: whatever the error is, nobody knows.
TEST_F(ImageMoveTest, WhereTheSealFindsNoRoomBothStayAndOneOpens) {
  EXPECT_OK(store_->close());
  unsigned undecided = 0;
  for (const unsigned written : {0U, 1U}) {
    const std::string old = folder_.path("full" + std::to_string(written));
    const std::string to = old + "-new";
    std::filesystem::copy_file(old_, old);
    const auto room = std::make_shared<std::optional<unsigned>>();
    auto device = open_device(old, Access::read_write);
    ASSERT_OK(device);
    auto store =
        Store::open(std::make_unique<FullDevice>(*std::move(device), room), {.background = false});
    ASSERT_OK(store);
    StoreMoveSource source(**store, old, KeyRing());
    ObstinateSource obstinate(source);
    obstinate.before_leave = [&] { *room = written; };
    const auto report = move_image(obstinate, {.path = to}, {});
    ASSERT_OK(report);
    undecided += report->undecided ? 1U : 0U;
    static_cast<void>((*store)->close());
    ASSERT_TRUE(std::filesystem::exists(to));
    const auto opened_old = try_open(old);
    const auto opened_new = try_open(to);
    EXPECT_NE(opened_old.ok(), opened_new.ok()) << written;
    EXPECT_EQ(opened_new.ok(), written == 1);
  }
  EXPECT_EQ(undecided, 2U);
}

TEST_F(ImageMoveTest, ASealedOneStays) {
  EXPECT_OK(store_->seal());
  EXPECT_KIND(move(), sealed);
  EXPECT_FALSE(std::filesystem::exists(new_));
}

TEST(WrittenBlocksTest, WhoBeganWithAnotherStoreTakesNothing) {
  WrittenBlocks closed;
  WrittenBlocks written;
  std::vector<ByteRange> ranges;
  const std::uint64_t before = closed.begin();
  EXPECT_FALSE(written.take(0, ranges)); // Nobody has begun.
  const std::uint64_t number = written.begin();
  written.note(0, 4096);
  EXPECT_NE(before, 0U);
  EXPECT_FALSE(written.take(before, ranges));
  EXPECT_FALSE(written.take(0, ranges));
  ASSERT_TRUE(written.take(number, ranges));
  EXPECT_EQ(ranges.size(), 1U);
}

TEST(WrittenBlocksTest, WhatIsNotedIsTakenOnceAndByTheLastWhoBegan) {
  WrittenBlocks written;
  std::vector<ByteRange> ranges;
  written.note(0, 4096);
  const std::uint64_t first = written.begin();
  ASSERT_TRUE(written.take(first, ranges));
  EXPECT_TRUE(ranges.empty());
  written.note(5000, 1);
  written.note(8192, 4096);
  written.note(std::uint64_t{100} << 12U, 4097);
  ASSERT_TRUE(written.take(first, ranges));
  ASSERT_EQ(ranges.size(), 2U);
  EXPECT_EQ(ranges[0].offset_bytes, 4096U);
  EXPECT_EQ(ranges[0].length_bytes, 8192U);
  EXPECT_EQ(ranges[1].offset_bytes, std::uint64_t{100} << 12U);
  EXPECT_EQ(ranges[1].length_bytes, 8192U);
  ASSERT_TRUE(written.take(first, ranges));
  EXPECT_TRUE(ranges.empty());
  written.note(0, 1);
  const std::uint64_t second = written.begin();
  EXPECT_FALSE(written.take(first, ranges));
  ASSERT_TRUE(written.take(second, ranges));
  EXPECT_TRUE(ranges.empty());
}

} // namespace
} // namespace vnvram::test
