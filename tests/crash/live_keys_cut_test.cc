// Key slots that a running owner adds, exchanges and takes away, cut at every operation, with
// commits beside them: the image has the old slots or the new, each of them opens it, nobody else
// does, and it holds what was acknowledged.
#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "crash/crash_explorer.h"
#include "support/crash_state.h"
#include "support/expect_status.h"
#include "support/random.h"
#include "unit/keys/key_fixture.h"
#include "vnvram/key_offer.h"

namespace vnvram::test {
namespace {

constexpr std::uint64_t keyed_image_size_bytes = std::uint64_t{512} << 10U;

/// By their slots' labels, what opens them.
using Holders = std::map<std::string, std::string>;

class LiveKeysCutTest : public ::testing::Test {
protected:
  void SetUp() override {
    disk_ = std::make_shared<SimulatedDisk>(std::vector<std::byte>(keyed_image_size_bytes));
    CreateOptions create;
    create.ring_size_bytes = std::uint64_t{64} << 10U;
    create.blobs = {{.spec = {.name = "a", .type = "test", .size_max_bytes = 3000}, .content = {}}};
    create.key_slots = {new_slot(host_, "host")};
    SimulatedDevice device(disk_);
    ASSERT_OK(create_image(device, create));
    device.unlock();
    auto store = open(disk_, host_);
    ASSERT_OK(store);
    store_ = *std::move(store);
    write();
    holders_ = {{"host", host_}};
  }
  static Result<std::unique_ptr<Store>> open(const std::shared_ptr<SimulatedDisk>& disk,
                                             const std::string& key) {
    OpenOptions options = deterministic_options();
    options.keys = KeyRing({source(key)});
    return Store::open(std::make_unique<SimulatedDevice>(disk), options);
  }

  /// Acknowledged on return.
  void write() {
    newest_ = random_.bytes(3000);
    ASSERT_OK(store_->write("a", newest_));
    acknowledged_ = newest_;
  }
  Result<KeySlotInfo>
  take(const NewKeySlot& slot,
       const std::function<Result<KeySlotInfo>(const KeySlotOffer&, const KeyOfferReceiver&)>& take)
      const {
    const auto receiver = KeyOfferReceiver::make().value();
    const auto offer = offer_key_slot(slot, "image", receiver.public_key());
    return offer ? take(*offer, receiver) : offer.error();
  }
  Result<KeySlotInfo> add(const NewKeySlot& slot) {
    return take(slot, [this](const KeySlotOffer& offer, const KeyOfferReceiver& receiver) {
      return store_->add_key_slot(offer, receiver);
    });
  }
  Result<KeySlotInfo> change(unsigned number, const NewKeySlot& slot) {
    return take(slot, [this, number](const KeySlotOffer& offer, const KeyOfferReceiver& receiver) {
      return store_->change_key_slot(number, offer, receiver);
    });
  }

  /// Carries it out once for each operation that it makes, with a commit from inside that one, and
  /// looks at what every cut leaves. `undo` makes the slots again what they were.
  void cut(const Holders& after, const std::function<void()>& deed,
           const std::function<void()>& undo) {
    const Holders before = holders_;
    for (std::uint64_t commit_at = 0; !HasFailure() && commit_at <= operations_; ++commit_at) {
      after_ = after;
      operations_ = 0;
      bool inside = false;
      disk_->set_hook([&](const SimulatedOperation& operation) {
        if (operation.kind == OperationKind::read || HasFailure()) {
          return;
        }
        look(&operation);
        if (!inside && operations_++ == commit_at) {
          inside = true;
          write();
          inside = false;
        }
      });
      deed();
      holders_ = after;
      look(nullptr);
      disk_->set_hook({});
      undo();
      holders_ = before;
    }
    EXPECT_GT(operations_, 2U);
  }

  void look(const SimulatedOperation* operation) {
    const std::string where = fmt::format("operation {}", disk_->operation_count());
    const CrashState state(*disk_, operation);
    for (std::uint64_t number = 0; number < 4; ++number) {
      for (const bool torn : {false, true}) {
        expect_either(std::make_shared<SimulatedDisk>(
                          state.power_cut({.number = number + (torn ? 3 : 0), .torn = torn}, 4)),
                      where);
      }
    }
    // The owner has died, the next one opens what it left in a cache, and then the power is cut.
    const auto left = state.process_death(1 + images_ % 3);
    const std::set<std::string> seen = labels(left);
    auto next = open(left, holders_.at("host"));
    ASSERT_OK(next);
    ASSERT_OK((*next)->write("a", newest_));
    const auto cut = std::make_shared<SimulatedDisk>(left->durable());
    EXPECT_EQ(labels(cut), seen) << where;
    expect_either(cut, where);
  }

  static std::set<std::string> labels(const std::shared_ptr<SimulatedDisk>& disk) {
    SimulatedDevice device(disk, Access::read_only);
    const auto slots = list_key_slots(device);
    EXPECT_OK(slots);
    std::set<std::string> found;
    for (const KeySlotInfo& slot : slots ? *slots : std::vector<KeySlotInfo>()) {
      EXPECT_TRUE(slot.current);
      found.insert(slot.label);
    }
    return found;
  }
  static std::set<std::string> labels(const Holders& holders) {
    std::set<std::string> found;
    for (const auto& [label, key] : holders) {
      found.insert(label);
    }
    return found;
  }

  void expect_either(const std::shared_ptr<SimulatedDisk>& disk, const std::string& where) {
    ++images_;
    const auto found = labels(disk);
    const bool is_old = found == labels(holders_);
    ASSERT_TRUE(is_old || found == labels(after_)) << where;
    const Holders& holders = is_old ? holders_ : after_;
    for (const auto& [label, key] : holders) {
      const auto store = open(disk, key);
      ASSERT_TRUE(store.ok()) << where << ", " << label << ": " << store.error().text();
      const auto content = (*store)->read("a");
      ASSERT_OK(content);
      EXPECT_TRUE(*content == acknowledged_ || *content == newest_) << where;
      EXPECT_OK((*store)->close());
    }
    for (const std::string& key : {host_, other_, private_}) {
      const bool opens =
          std::ranges::any_of(holders, [&](const auto& holder) { return holder.second == key; });
      SimulatedDevice device(disk, Access::read_only);
      const auto tried = test_key(device, std::vector{source(key)});
      EXPECT_EQ(tried.ok(), opens) << where;
      EXPECT_TRUE(tried || tried.error().kind() == ErrorKind::wrong_key) << where;
    }
  }

  KeyFiles files_;
  const std::string host_ = files_.file("the key of this host: 16 bytes or more");
  const std::string other_ = files_.file("the key of another: 16 bytes or more");
  const std::string private_ = files_.private_key();
  const std::string public_ = files_.public_key();
  Random random_{11};
  std::shared_ptr<SimulatedDisk> disk_;
  std::unique_ptr<Store> store_;
  std::vector<std::byte> acknowledged_;
  std::vector<std::byte> newest_;
  Holders holders_;
  Holders after_; ///< What they may be while a change is under way.
  std::uint64_t operations_ = 0;
  std::uint64_t images_ = 0;
};

TEST_F(LiveKeysCutTest, ASlotThatIsAddedIsThereOrNot) {
  cut(
      {{"host", host_}, {"escrow", private_}},
      [this] { ASSERT_OK(add(new_slot(public_, "escrow"))); },
      [this] { ASSERT_OK(store_->remove_key_slot(1, false)); });
  fmt::print("slots that are added: {} images\n", images_);
}

TEST_F(LiveKeysCutTest, ASlotThatIsExchangedIsTheOldOneOrTheNew) {
  ASSERT_OK(add(new_slot(public_, "escrow")));
  holders_["escrow"] = private_;
  cut(
      {{"host", host_}, {"other", other_}},
      [this] { ASSERT_OK(change(1, new_slot(other_, "other"))); },
      [this] { ASSERT_OK(change(1, new_slot(public_, "escrow"))); });
}

TEST_F(LiveKeysCutTest, ASlotThatIsTakenAwayIsThereOrNot) {
  ASSERT_OK(add(new_slot(other_, "other")));
  holders_["other"] = other_;
  cut(
      {{"host", host_}}, [this] { ASSERT_OK(store_->remove_key_slot(1, false)); },
      [this] { ASSERT_OK(add(new_slot(other_, "other"))); });
}

} // namespace
} // namespace vnvram::test
