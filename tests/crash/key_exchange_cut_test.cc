// Another data key for an image, cut at every operation: it opens, with its key, and holds what it
// held; and what the old data key has opened is not there in the end.
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <string>
#include <thread>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "support/crash_state.h"
#include "support/expect_status.h"
#include "support/memory_anchor.h"
#include "support/random.h"
#include "support/temporary_directory.h"

namespace vnvram::test {
namespace {

constexpr std::uint64_t exchanged_image_size_bytes = std::uint64_t{512} << 10U;

class KeyExchangeCutTest : public ::testing::Test {
protected:
  void SetUp() override {
    write_file("host", "the key of this host, by file");
    write_file("admin", "another one for who looks after it");
    disk_ = std::make_shared<SimulatedDisk>(std::vector<std::byte>(exchanged_image_size_bytes));
    CreateOptions create;
    create.ring_size_bytes = std::uint64_t{64} << 10U;
    create.blobs = {{.spec = {.name = "a", .type = "test", .size_max_bytes = 9000}, .content = {}}};
    create.key_slots = {{.source = key("host"), .label = "host"},
                        {.source = key("admin"), .label = "admin"}};
    SimulatedDevice device(disk_);
    ASSERT_OK(create_image(device, create));
  }
  void write_file(const std::string& name, const std::string& text) {
    std::FILE* file = std::fopen(folder_.path(name).c_str(), "w");
    ASSERT_NE(file, nullptr);
    EXPECT_EQ(std::fwrite(text.data(), 1, text.size(), file), text.size());
    EXPECT_EQ(std::fclose(file), 0);
  }
  [[nodiscard]] KeySource key(const std::string& name) const {
    return KeySource::parse("file:" + folder_.path(name)).value();
  }
  [[nodiscard]] OpenOptions with(const std::string& name) const {
    OpenOptions options = deterministic_options();
    options.keys = KeyRing({key(name)});
    return options;
  }
  [[nodiscard]] Result<std::unique_ptr<Store>> open(const std::shared_ptr<SimulatedDisk>& disk,
                                                    const std::string& name) const {
    return Store::open(std::make_unique<SimulatedDevice>(disk), with(name));
  }
  /// By the host, each commit anchored.
  [[nodiscard]] Result<std::unique_ptr<Store>>
  open_anchored(const std::shared_ptr<MemoryAnchor>& anchor) const {
    OpenOptions options = with("host");
    const Status accepted =
        accept_anchor(std::make_unique<SimulatedDevice>(disk_), anchor, {}, options.keys);
    if (!accepted) {
      return accepted.error();
    }
    options.anchor = {.anchor = anchor, .policy = {.moment = AnchorPolicy::Moment::commit}};
    return Store::open(std::make_unique<SimulatedDevice>(disk_), options);
  }
  void expect_whole(const std::shared_ptr<SimulatedDisk>& disk, const std::string& name,
                    const std::string& where) const {
    const auto store = open(disk, name);
    ASSERT_TRUE(store.ok()) << where << ": " << store.error().text();
    const auto read = (*store)->read("a");
    ASSERT_TRUE(read.ok()) << where << ": " << read.error().text();
    EXPECT_TRUE(*read == content_) << where;
    EXPECT_OK((*store)->write("a", content_));
    EXPECT_OK((*store)->close());
  }

  TemporaryDirectory folder_;
  std::shared_ptr<SimulatedDisk> disk_;
  const std::vector<std::byte> content_ = Random(3).bytes(9000);
};

TEST_F(KeyExchangeCutTest, TheImageOpensWhereverItIsCut) {
  const auto store = open(disk_, "host");
  ASSERT_TRUE(store.ok()) << store.error().text();
  ASSERT_OK((*store)->write("a", content_));
  std::uint64_t images = 0;
  std::uint64_t operations = 0;
  disk_->set_hook([&](const SimulatedOperation& operation) {
    // All that decide, and some of the many that overwrite what nobody needs.
    const bool plain = operation.kind == OperationKind::write;
    if (operation.kind == OperationKind::read || testing::Test::HasFatalFailure() ||
        (plain && operations++ % 16 != 15)) {
      return;
    }
    const CrashState state(*disk_, &operation);
    for (std::uint64_t choice = 0; choice < 3; ++choice) {
      const auto image = std::make_shared<SimulatedDisk>(state.power_cut({.number = choice}, 16));
      ++images;
      const std::string where = fmt::format("operation {} choice {}", operation.number, choice);
      expect_whole(image, "host", where);
      expect_whole(image, "admin", where);
    }
  });
  const auto left_out = (*store)->rotate_data_key({.holders = {key("host"), key("admin")}});
  disk_->set_hook({});
  fmt::print("an exchange of the data key: {} images\n", images);
  ASSERT_TRUE(left_out.ok()) << left_out.error().text();
  EXPECT_TRUE(left_out->empty());
  EXPECT_GT(images, 40U);
  EXPECT_OK((*store)->write("a", content_));
  EXPECT_OK((*store)->close());
  expect_whole(disk_, "host", "at last");
  expect_whole(disk_, "admin", "at last");
}

// A slot of one data key only would not open what a cut has left between the two.
TEST_F(KeyExchangeCutTest, NoSlotIsChangedHalfwayThroughIt) {
  write_file("new", "who comes while the exchange is cut");
  const auto store = open(disk_, "host");
  ASSERT_TRUE(store.ok()) << store.error().text();
  ASSERT_OK((*store)->write("a", content_));
  unsigned refused = 0;
  unsigned changed = 0;
  disk_->set_hook([&](const SimulatedOperation& operation) {
    if (operation.kind != OperationKind::write_durable || testing::Test::HasFatalFailure()) {
      return;
    }
    const CrashState state(*disk_, &operation);
    for (std::uint64_t choice = 0; choice < 3; ++choice) {
      const auto image = std::make_shared<SimulatedDisk>(state.power_cut({.number = choice}, 16));
      const std::string where = fmt::format("operation {} choice {}", operation.number, choice);
      SimulatedDevice device(image);
      const std::vector<KeySource> keys = {key("host")};
      const auto made = change_key_slot(device, keys, 1, {.source = key("new")});
      if (!made) {
        ASSERT_EQ(made.error().kind(), ErrorKind::unsupported) << where << made.error().text();
        EXPECT_KIND(remove_key_slot(device, 1), unsupported);
        ++refused;
      } else {
        ++changed;
      }
      expect_whole(image, made ? "new" : "admin", where);
      expect_whole(image, "host", where);
      ASSERT_OK(change_key_slot(device, keys, 1, {.source = key("new")}));
      expect_whole(image, "new", where);
    }
  });
  ASSERT_OK((*store)->rotate_data_key({.holders = {key("host"), key("admin")}}));
  disk_->set_hook({});
  EXPECT_GT(refused, 0U);
  EXPECT_GT(changed, 0U);
}

TEST_F(KeyExchangeCutTest, NothingOfWhatWasSealedBeforeIsLeft) {
  {
    const auto store = open(disk_, "host");
    ASSERT_OK((*store)->write("a", content_));
    ASSERT_OK((*store)->checkpoint());
    ASSERT_OK((*store)->write("a", content_));
  }
  const std::vector<std::byte> before = disk_->durable();
  {
    const auto store = open(disk_, "host");
    ASSERT_TRUE((*store)->rotate_data_key({.holders = {key("host"), key("admin")}}).ok());
  }
  const std::vector<std::byte>& after = disk_->durable();
  unsigned same = 0;
  // Behind superblocks and header area, up to the room of the third superblock. What a last page's
  // worth of blocks is left over at the image's end belongs to nothing.
  for (std::size_t at = std::size_t{18} * block_size_bytes;
       at < after.size() - (std::size_t{10} * block_size_bytes); at += block_size_bytes) {
    const auto block = static_cast<std::ptrdiff_t>(at);
    same += std::equal(after.begin() + block,
                       after.begin() + block + static_cast<std::ptrdiff_t>(block_size_bytes),
                       before.begin() + block)
                ? 1U
                : 0U;
  }
  EXPECT_EQ(same, 0U);
}

TEST_F(KeyExchangeCutTest, ASlotWhoseKeyNobodyHasGivenIsNotLostByAccident) {
  {
    const auto store = open(disk_, "host");
    ASSERT_OK((*store)->write("a", content_));
    EXPECT_KIND((*store)->rotate_data_key({.holders = {key("host")}}), key_needed);
  }
  expect_whole(disk_, "admin", "refused");
  {
    const auto store = open(disk_, "host");
    const auto left_out =
        (*store)->rotate_data_key({.holders = {key("host")}, .leave_out_others = true});
    ASSERT_TRUE(left_out.ok()) << left_out.error().text();
    ASSERT_EQ(left_out->size(), 1U);
    EXPECT_EQ(left_out->front().label, "admin");
  }
  expect_whole(disk_, "host", "left out");
  EXPECT_KIND(open(disk_, "admin"), wrong_key);
}

// The image from before it is the same history, sealed with a data key that somebody may have.
TEST_F(KeyExchangeCutTest, Invariant12KnowsWhichDataKeyItIs) {
  const auto anchor = std::make_shared<MemoryAnchor>();
  const auto store = open_anchored(anchor);
  ASSERT_OK(store);
  ASSERT_OK((*store)->write("a", content_));
  const std::vector<std::byte> before = disk_->durable();
  const auto compare = [&](const std::vector<std::byte>& image, const AnchorPoint& point) {
    MemoryAnchor there(point);
    return compare_with_anchor(std::make_unique<SimulatedDevice>(
                                   std::make_shared<SimulatedDisk>(image), Access::read_only),
                               there, with("host").keys);
  };
  std::uint64_t images = 0;
  std::uint64_t operations = 0;
  const auto look = [&](const SimulatedOperation* operation, const AnchorPoint& point) {
    const CrashState state(*disk_, operation);
    for (std::uint64_t choice = 0; choice < 3 && !testing::Test::HasFailure(); ++choice) {
      const auto found = compare(state.power_cut({.number = choice}, 16), point);
      ASSERT_OK(found);
      EXPECT_EQ(found->verdict, AnchorVerdict::at_anchor) << found->reason.value_or("");
      ++images;
    }
  };
  anchor->set_hook([&](const AnchorPoint& next) {
    look(nullptr, *anchor->point());
    look(nullptr, next);
  });
  disk_->set_hook([&](const SimulatedOperation& operation) {
    const bool plain = operation.kind == OperationKind::write;
    if (operation.kind != OperationKind::read && (!plain || operations++ % 16 == 15)) {
      look(&operation, *anchor->point());
    }
  });
  const std::uint64_t generation = (*store)->info().generation;
  ASSERT_OK((*store)->rotate_data_key({.holders = {key("host"), key("admin")}}));
  disk_->set_hook({});
  anchor->set_hook({});
  EXPECT_GT(images, 40U);
  EXPECT_EQ(anchor->point()->generation, generation);
  EXPECT_EQ(anchor->point()->next_key_id, AnchorPoint{}.next_key_id);
  const auto found = compare(before, *anchor->point());
  ASSERT_OK(found);
  EXPECT_EQ(found->verdict, AnchorVerdict::rolled_back);
  EXPECT_NE(found->reason.value_or("").find("exchange of its data key"), std::string::npos);
  EXPECT_OK((*store)->write("a", content_));
  EXPECT_OK((*store)->close());
}

/// While it lives, this thread and those that it starts have one processor together.
class OneProcessor {
public:
  OneProcessor() {
    EXPECT_EQ(::sched_getaffinity(0, sizeof(before_), &before_), 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (std::size_t number = 0; CPU_COUNT(&one) == 0; ++number) {
      if (CPU_ISSET(number, &before_)) {
        CPU_SET(number, &one);
      }
    }
    EXPECT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
  }
  OneProcessor(const OneProcessor&) = delete;
  OneProcessor& operator=(const OneProcessor&) = delete;
  ~OneProcessor() { EXPECT_EQ(::sched_setaffinity(0, sizeof(before_), &before_), 0); }

private:
  cpu_set_t before_{};
};

// The exchange writes the anchor beside commits: not with what it has seen before them. It waits
// for one that is being anchored, and comes before that has gone on, which has to wait for the
// processor.
TEST_F(KeyExchangeCutTest, Invariant12NothingIsTakenBackFromTheAnchor) {
  const auto anchor = std::make_shared<MemoryAnchor>();
  const auto store = open_anchored(anchor);
  ASSERT_OK(store);
  std::uint64_t newest = 0;
  unsigned taken_back = 0;
  std::atomic<unsigned> commits = 0;
  anchor->set_hook([&](const AnchorPoint& next) { // One write at a time.
    taken_back += next.generation < newest ? 1U : 0U;
    if (next.generation > newest) {
      newest = next.generation;
      ++commits;
      commits.notify_all();
    }
  });
  const OneProcessor one_processor;
  std::atomic<bool> stop = false;
  std::jthread committer([&] {
    const sched_param none{};
    EXPECT_EQ(::sched_setscheduler(0, SCHED_IDLE, &none), 0);
    for (std::uint64_t number = 0; !stop; ++number) {
      EXPECT_OK((*store)->write("a", Random(number).bytes(8)));
    }
  });
  for (int exchange = 0; exchange < 10; ++exchange) {
    commits.wait(commits);
    EXPECT_OK((*store)->rotate_data_key({.holders = {key("host"), key("admin")}}));
  }
  stop = true;
  committer.join();
  anchor->set_hook({});
  EXPECT_EQ(taken_back, 0U);
  EXPECT_EQ(anchor->point()->generation, (*store)->info().generation);
  EXPECT_OK((*store)->close());
}

} // namespace
} // namespace vnvram::test
