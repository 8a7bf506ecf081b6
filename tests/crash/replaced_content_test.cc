// Content that someone puts in the place of an open store's, at every operation of a mixed
// workload: no commit is acknowledged that is not on what lies there, what lies there stays as it
// is, and no wrong byte is returned.
#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "crash/example_image.h"
#include "format/layout.h"
#include "support/random.h"

namespace vnvram::test {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t replaced_size_bytes = std::size_t{512} << 10U;
constexpr std::size_t superblocks_size_bytes = format::superblock_count * block_size_bytes;

enum class Content {
  earlier_epoch,      ///< A backup from before the store was opened.
  earlier_checkpoint, ///< A backup from while it was open.
  another_store,
  zeros,
  garbage,
  another_store_in_front, ///< Only the first half of the device.
};

struct Case {
  std::string name;
  Content content;
  DeviceCapabilities can;
};

void PrintTo(const Case& what, std::ostream* out) {
  *out << what.name;
}

constexpr DeviceCapabilities local = {.write = true, .resize = true, .lock = true};
constexpr DeviceCapabilities remote = {.write = true, .remote = true};

/// One store and one workload, with the content replaced before the count-th operation.
class ReplacedRun {
public:
  ReplacedRun(const Case& what, std::uint64_t count) : case_(what), count_(count) {
    prepare();
    work();
    store_.reset(); // What the destructor writes counts, too.
    expect_untouched_since_the_call();
    disk_->set_hook({});
  }

  [[nodiscard]] bool was_replaced() const { return replaced_; }

private:
  static constexpr const char* const names[] = {"a", "b"};

  void prepare() {
    CreateOptions create;
    create.ring_size_bytes = std::uint64_t{256} << 10U; // Its first half is not left.
    for (const char* name : names) {
      create.blobs.push_back(
          {.spec = {.name = name, .type = "test", .size_max_bytes = 9000}, .content = {}});
      newest_.register_blob(create.blobs.back().spec);
    }
    {
      SimulatedDevice device(disk_);
      ASSERT_TRUE(create_image(device, create).ok());
    }
    earlier_epoch_ = disk_->durable();
    disk_->set_hook([this](const SimulatedOperation& operation) { at(operation); });
  }

  void at(const SimulatedOperation& operation) {
    const bool writes = operation.kind != OperationKind::read;
    if (replaced_) {
      changed_behind_ = changed_behind_ || writes;
      return;
    }
    const bool superblock = operation.kind == OperationKind::write_durable &&
                            operation.offset_bytes < superblocks_size_bytes;
    const bool possible = !superblock && makes_a_difference();
    has_begun_ = has_begun_ || writes;
    has_written_superblock_ = has_written_superblock_ || superblock;
    if (!possible || ++operations_ != count_) {
      return;
    }
    replaced_ = true;
    at_write_ = operation.kind == OperationKind::write_durable;
    content_ = replacement();
    disk_->replace(content_);
  }

  /// Before an opening has seen anything, what is there is what it opens. A backup of the store as
  /// it is says the same as the store itself until that goes on. And a superblock that is on its
  /// way already lands on the other content, which is the owner's then: a moment that no look sees.
  [[nodiscard]] bool makes_a_difference() const {
    switch (case_.content) {
    case Content::earlier_epoch: return has_written_superblock_;
    case Content::earlier_checkpoint: return !earlier_checkpoint_.empty();
    default: return has_begun_;
    }
  }

  static Bytes another_store() {
    Bytes bytes = interrupted_image().bytes;
    bytes.resize(replaced_size_bytes);
    return bytes;
  }

  [[nodiscard]] Bytes replacement() const {
    switch (case_.content) {
    case Content::earlier_epoch: return earlier_epoch_;
    case Content::earlier_checkpoint: return earlier_checkpoint_;
    case Content::another_store: return another_store();
    case Content::zeros: return Bytes(replaced_size_bytes);
    case Content::garbage: return Random(7).bytes(replaced_size_bytes);
    case Content::another_store_in_front: break;
    }
    Bytes mixed = disk_->cache();
    const Bytes other = another_store();
    std::copy_n(other.begin(), replaced_size_bytes / 2, mixed.begin());
    return mixed;
  }

  /// Nothing but what the call has done in which the content was replaced. `acknowledged`: whether
  /// that call has said that all is well.
  void end_of_call(const char* what, const Status& status) {
    if (!replaced_) {
      EXPECT_TRUE(status.ok()) << what << ": " << status.error().text();
      return;
    }
    noticed_ = noticed_ || !status;
    if (call_ended_) {
      EXPECT_FALSE(status.ok()) << what << " says that it is done, on another content";
      return;
    }
    call_ended_ = true;
    after_call_ = disk_->cache();
    if (status) {
      // Only if the very write that makes it true was on its way already.
      EXPECT_TRUE(at_write_ && !changed_behind_)
          << what << " says that it is done, and the content was replaced on its way";
    }
    EXPECT_TRUE(std::equal(content_.begin(), content_.begin() + superblocks_size_bytes,
                           after_call_.begin()))
        << what << " has written a superblock over another content";
  }

  void expect_untouched_since_the_call() {
    if (replaced_ && call_ended_) {
      EXPECT_TRUE(disk_->cache() == after_call_) << "another content was written to";
    }
  }

  [[nodiscard]] bool done() const { return testing::Test::HasFailure(); }

  bool open() {
    OpenOptions options = deterministic_options();
    auto device = std::make_unique<SimulatedDevice>(disk_);
    device->set_capabilities(case_.can);
    auto store = Store::open(std::move(device), options);
    end_of_call("open", store ? Status{} : Status(store.error()));
    if (store) {
      store_ = *std::move(store);
    }
    return store_ != nullptr;
  }

  void work() {
    if (!open()) {
      return;
    }
    Random random(3);
    for (int i = 0; i < 18 && !done(); ++i) {
      step(i, random);
      expect_no_wrong_byte();
      if (i == 3) {
        const Bytes now = disk_->cache(); // One more checkpoint, and it is one.
        end_of_call("checkpoint", store_->checkpoint());
        earlier_checkpoint_ = now;
      }
    }
    if (noticed_) {
      EXPECT_TRUE(store_->info().poisoned.has_value()) << "the store does not know of it";
    }
    end_of_call("close", store_->close());
  }

  void step(int i, Random& random) {
    switch (i % 6) {
    case 0:
    case 1:
    case 3: end_of_call("commit", commit_one(random)); break;
    case 2:
      end_of_call("checkpoint", i > 6 ? commit_and_checkpoint(random) : commit_one(random));
      break;
    case 4: {
      const Bytes bytes = random.bytes(90);
      Transaction deferred;
      deferred.write_range("a", 70, bytes);
      before_ = newest_;
      // It is in memory only, as long as it is not waited for.
      if (store_->write_range_deferred("a", 70, bytes)) {
        newest_.apply(deferred);
      }
      end_of_call("flush", store_->flush());
      break;
    }
    default: {
      const BlobSpec more = {
          .name = "more" + std::to_string(i), .type = "test", .size_max_bytes = 500};
      before_ = newest_;
      const Status registered = store_->register_blobs(std::span(&more, 1));
      if (registered) {
        newest_.register_blob(more);
      }
      end_of_call("register", registered);
      break;
    }
    }
  }

  Status commit_one(Random& random) {
    Transaction transaction;
    transaction.write_range("a", random.below(5000), random.bytes(500));
    transaction.write_range("b", random.below(5000), random.bytes(500));
    before_ = newest_;
    Status status = store_->commit(transaction);
    if (status) {
      newest_.apply(transaction);
    }
    return status;
  }

  Status commit_and_checkpoint(Random& random) {
    Status status = commit_one(random);
    end_of_call("commit", status);
    return store_->checkpoint();
  }

  /// What cannot be read is said to be so.
  void expect_no_wrong_byte() {
    for (const char* name : names) {
      const auto found = store_->read(name);
      if (!found) {
        EXPECT_TRUE(replaced_) << found.error().text();
        continue;
      }
      EXPECT_TRUE(*found == newest_.blobs().at(name).bytes ||
                  (replaced_ && *found == before_.blobs().at(name).bytes))
          << "wrong bytes of " << name;
    }
  }

  const Case case_;
  const std::uint64_t count_;
  std::shared_ptr<SimulatedDisk> disk_ =
      std::make_shared<SimulatedDisk>(Bytes(replaced_size_bytes));
  std::unique_ptr<Store> store_;
  StoreState newest_;
  StoreState before_; ///< Without what was done last.
  Bytes earlier_epoch_;
  Bytes earlier_checkpoint_;
  std::uint64_t operations_ = 0;
  bool has_begun_ = false; ///< The opening has read all that it wants to.
  bool has_written_superblock_ = false;
  bool replaced_ = false;
  bool at_write_ = false;       ///< It came before a durable write.
  bool changed_behind_ = false; ///< More was written in the same call, or later.
  Bytes content_;               ///< What took the place.
  bool noticed_ = false;        ///< A call has been refused since.
  bool call_ended_ = false;     ///< The call that it came in.
  Bytes after_call_;
};

std::uint64_t replace_at_each_operation(const Case& what) {
  for (std::uint64_t count = 1;; ++count) {
    SCOPED_TRACE(fmt::format("{}, replaced before operation {}", what.name, count));
    const ReplacedRun run(what, count);
    if (!run.was_replaced() || testing::Test::HasFailure()) {
      testing::Test::RecordProperty("faults", std::to_string(count - 1));
      return count - 1;
    }
  }
}

class ReplacedContentTest : public testing::TestWithParam<Case> {};

TEST_P(ReplacedContentTest, IsNoticedAndLeftAloneAtEveryOperation) {
  EXPECT_GT(replace_at_each_operation(GetParam()), 50U);
}

std::vector<Case> replacement_cases() {
  std::vector<Case> list;
  for (const auto& [where, can] : {std::pair{"Local", local}, std::pair{"Remote", remote}}) {
    for (const auto& [name, content] :
         {std::pair{"EarlierEpoch", Content::earlier_epoch},
          std::pair{"EarlierCheckpoint", Content::earlier_checkpoint},
          std::pair{"AnotherStore", Content::another_store}, std::pair{"Zeros", Content::zeros},
          std::pair{"Garbage", Content::garbage},
          std::pair{"AnotherStoreInFront", Content::another_store_in_front}}) {
      list.push_back({.name = std::string(name) + "On" + where, .content = content, .can = can});
    }
  }
  return list;
}

INSTANTIATE_TEST_SUITE_P(Every, ReplacedContentTest, testing::ValuesIn(replacement_cases()),
                         [](const auto& test) { return test.param.name; });

} // namespace
} // namespace vnvram::test
