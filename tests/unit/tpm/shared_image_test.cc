// One image that two hosts see: what a TPM does to it that is held, whose storage fails, or that
// somebody has overtaken. Whole hand-overs are in tests/system/tpm/test_shared_image.py.
#include "tpm/shared_image_host.h"

#include <sys/socket.h>

#include <future>
#include <utility>

#include "client/local_blob_client.h"
#include "owner/image_keeper.h"
#include "tpm/ask_worker.h"
#include "tpm/control_service.h"
#include "unit/store/hooked_device.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {
namespace {

constexpr TpmVersion tpm_version = TpmVersion::tpm2_0;

/// A device, time and again; or an error once.
class HookedPlace final : public ImagePlace {
public:
  explicit HookedPlace(std::shared_ptr<MemoryDisk> disk, bool is_remote)
      : disk_(std::move(disk)), is_remote_(is_remote) {}

  Result<std::string> enter(Visit /*visit*/) override { return std::string("disk"); }
  Result<std::unique_ptr<BlockDevice>> open() override {
    ++open_count;
    if (const auto failure = std::exchange(fails_once, std::nullopt)) {
      return Error(*failure, "disk: it is to fail");
    }
    return device();
  }
  [[nodiscard]] Status check() const override { return {}; }
  void leave() override {}

  [[nodiscard]] std::unique_ptr<BlockDevice> device() const {
    auto device = std::make_unique<HookedDevice>(disk_, hook_, !is_remote_);
    DeviceCapabilities can = device->capabilities();
    can.content_may_change = is_remote_;
    device->set_capabilities(can);
    return device;
  }

  int open_count = 0;
  std::optional<ErrorKind> fails_once;

private:
  std::shared_ptr<MemoryDisk> disk_;
  std::shared_ptr<HookedDevice::Hook> hook_ = std::make_shared<HookedDevice::Hook>();
  bool is_remote_;
};

ControlClient control_client(std::uint64_t number) {
  ControlClient client;
  client.number = number;
  return client;
}

/// A vnvram-tpm --shared without its sockets, and a client that speaks to it.
class SharedTpm {
public:
  explicit SharedTpm(std::shared_ptr<MemoryDisk> disk, bool is_remote = false)
      : place(std::move(disk), is_remote) {
    storage.use_place(place);
  }
  ~SharedTpm() {
    worker.stop();
    tpm.stop();
    EXPECT_OK(storage.close());
  }

  /// Started with its image, as it is without --incoming.
  void start() {
    ASSERT_OK(keeper.attach(place.device(), {.location = "disk"}));
    Result<TpmImage> found = read_tpm_image(client, "disk", {tpm_version, ""});
    ASSERT_OK(found);
    ASSERT_OK(tpm.adopt(found->specs, std::exchange(found->contents, {}), found->manufacture));
    ASSERT_OK(image.start_with(*found));
    ASSERT_OK(storage.commit_first());
  }
  void take_control() {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    guest.reset(ends.front());
    ASSERT_EQ(ask({.command = ControlCommand::set_data_fd}, UniqueFd(ends.back())), tpm_success);
  }
  TpmResult ask(const ControlRequest& request, UniqueFd passed = {}) {
    const std::vector<std::byte> reply = service.handle(control, request, std::move(passed));
    TpmResult result = 0;
    for (std::size_t index = 0; index < sizeof(result); ++index) {
      result = result << 8U | std::to_integer<TpmResult>(reply.at(index));
    }
    return result;
  }
  TpmResult ask(ControlCommand command) { return ask({.command = command}); }
  TpmResult fetch() { return ask({.command = ControlCommand::get_state_blob, .blob_type = 1}); }
  TpmResult set(const std::vector<std::byte>& permanent) {
    return tpm.set_state(TpmState::permanent, permanent);
  }
  void hold() {
    std::promise<void> idle;
    worker.hold([&] { idle.set_value(); });
    idle.get_future().wait();
  }
  void resume() {
    worker.resume();
    ASSERT_OK(ask_worker(worker, [] { return Status(); }));
  }
  /// Whether one would be run.
  bool takes_a_command() {
    return ask_worker(worker,
                      [this] {
                        return storage.prepare() ? Status()
                                                 : Error(ErrorKind::sealed, "it is not run");
                      })
        .ok();
  }

  Log log{"test", LogLevel::error};
  HookedPlace place;
  ImageKeeper keeper{{}};
  LocalBlobClient client{keeper};
  ImageTrouble trouble{client, log};
  SoftTpm tpm{tpm_version, tpm_blob_specs(tpm_version),
              std::vector<std::vector<std::byte>>(tpm_state_count), Manufacture::forbidden};
  Custody custody{tpm, {.image_comes_by_itself = true}, log};
  AdoptedImage image{tpm, custody, client, "disk", log};
  TpmStorage storage{{tpm, custody, image, &keeper, client, trouble, log}, {.shared = true}};
  TpmWorker worker{tpm, custody, storage, *TpmWorker::make_wake_fd(), ConnectionLimits(), log};
  SharedImageHost host{storage, worker};
  ControlService service{tpm, custody, image, worker, log, &host};
  ControlClient control = control_client(1);
  UniqueFd guest;
};

class SharedImageTest : public StoreFixture {
protected:
  void SetUp() override { create(tpm_blob_specs(tpm_version)); }

  void start(SharedTpm& tpm) {
    tpm.start();
    tpm.take_control();
    ASSERT_EQ(tpm.ask(ControlCommand::init), tpm_success);
    ASSERT_EQ(tpm.custody.state(), Custody::State::ours);
  }
  StoreInfo info() { return open_read_only()->info(); }
  /// As the other host does, with the state that it was sealed for.
  std::unique_ptr<Store> go_on_elsewhere() {
    OpenOptions options = inline_options();
    options.go_on = GoOn{.hand_over = info().hand_over};
    std::unique_ptr<Store> store = open(std::move(options));
    EXPECT_OK(store->unseal());
    return store;
  }
};

TEST_F(SharedImageTest, UnderAHoldAStateIsTakenAndComesBehindIt) {
  SharedTpm tpm(disk_);
  start(tpm);
  std::vector<std::byte> permanent;
  ASSERT_EQ(tpm.tpm.get_state(TpmState::permanent, permanent), tpm_success);
  tpm.hold();
  const std::uint64_t generation = info().generation;
  ASSERT_EQ(tpm.ask(ControlCommand::store_volatile), tpm_success);
  ASSERT_EQ(tpm.ask(ControlCommand::stop), tpm_success);
  ASSERT_EQ(tpm.set(permanent), tpm_success);
  ASSERT_EQ(tpm.ask(ControlCommand::init), tpm_success);
  EXPECT_EQ(info().generation, generation);
  tpm.resume();
  EXPECT_GT(info().generation, generation);
  EXPECT_FALSE(tpm.tpm.has_changes());
}

TEST_F(SharedImageTest, UnderAHoldNothingIsHandedOver) {
  SharedTpm tpm(disk_);
  start(tpm);
  tpm.hold();
  EXPECT_EQ(tpm.fetch(), tpm_fail);
  EXPECT_FALSE(info().sealed);
  EXPECT_TRUE(tpm.keeper.is_held());
  EXPECT_TRUE(tpm.custody.is_ours());
  tpm.resume();
  EXPECT_EQ(tpm.fetch(), tpm_success);
  EXPECT_TRUE(info().sealed);
}

TEST_F(SharedImageTest, UnderAHoldAnImageThatComesIsNotGoneOnWith) {
  SharedTpm tpm(disk_);
  start(tpm);
  ASSERT_EQ(tpm.fetch(), tpm_success);
  std::vector<std::byte> permanent;
  ASSERT_EQ(tpm.tpm.get_state(TpmState::permanent, permanent), tpm_success);
  tpm.hold();
  ASSERT_EQ(tpm.ask(ControlCommand::stop), tpm_success);
  ASSERT_EQ(tpm.set(permanent), tpm_success);
  EXPECT_EQ(tpm.ask(ControlCommand::init), tpm_fail);
  EXPECT_TRUE(info().sealed);
  EXPECT_FALSE(tpm.keeper.is_attached());
}

TEST_F(SharedImageTest, AnotherFetchThatFailsLeavesTheMachineHere) {
  SharedTpm tpm(disk_);
  start(tpm);
  ASSERT_EQ(tpm.fetch(), tpm_success);
  ASSERT_EQ(tpm.ask(ControlCommand::init), tpm_success); // In memory.
  tpm.place.fails_once = ErrorKind::io;
  EXPECT_EQ(tpm.fetch(), tpm_fail);
  EXPECT_TRUE(tpm.takes_a_command()); // QEMU does not say that it goes on.
  EXPECT_TRUE(tpm.custody.is_ours());
  EXPECT_FALSE(info().sealed);
  EXPECT_EQ(tpm.ask(ControlCommand::lock_storage), tpm_success);
  EXPECT_EQ(tpm.fetch(), tpm_success);
}

TEST_F(SharedImageTest, BehindAFetchThatFailsItIsPoweredOn) {
  SharedTpm tpm(disk_);
  start(tpm);
  ASSERT_EQ(tpm.fetch(), tpm_success);
  ASSERT_EQ(tpm.ask(ControlCommand::init), tpm_success);
  tpm.place.fails_once = ErrorKind::in_use;
  EXPECT_EQ(tpm.fetch(), tpm_fail);
  EXPECT_EQ(tpm.ask(ControlCommand::init), tpm_success);
  EXPECT_TRUE(tpm.takes_a_command());
  EXPECT_TRUE(tpm.custody.is_ours());
}

TEST_F(SharedImageTest, AFetchOfAMachineThatHasGoneOnElsewhereLeavesItThere) {
  SharedTpm tpm(disk_);
  start(tpm);
  ASSERT_EQ(tpm.fetch(), tpm_success);
  ASSERT_EQ(tpm.ask(ControlCommand::init), tpm_success);
  const std::unique_ptr<Store> other = go_on_elsewhere();
  EXPECT_EQ(tpm.fetch(), tpm_fail);
  EXPECT_EQ(tpm.custody.state(), Custody::State::gone);
  EXPECT_EQ(tpm.ask(ControlCommand::init), tpm_fail);
  EXPECT_EQ(tpm.ask(ControlCommand::lock_storage), tpm_fail);
  EXPECT_FALSE(tpm.takes_a_command());
}

TEST_F(SharedImageTest, WhatFailsOnceMayBeTakenBackAgain) {
  SharedTpm tpm(disk_);
  start(tpm);
  ASSERT_EQ(tpm.fetch(), tpm_success);
  tpm.place.fails_once = ErrorKind::io;
  EXPECT_EQ(tpm.ask(ControlCommand::lock_storage), tpm_fail);
  EXPECT_EQ(tpm.ask(ControlCommand::stop), tpm_success); // Its guest resets it.
  EXPECT_EQ(tpm.ask(ControlCommand::init), tpm_fail);
  EXPECT_EQ(tpm.ask(ControlCommand::lock_storage), tpm_success);
  EXPECT_EQ(tpm.ask(ControlCommand::init), tpm_success);
  EXPECT_TRUE(tpm.takes_a_command());
}

TEST_F(SharedImageTest, AnotherControllerTakesNothingBack) {
  SharedTpm tpm(disk_);
  start(tpm);
  ASSERT_EQ(tpm.fetch(), tpm_success);
  tpm.service.client_gone(tpm.control);
  tpm.control = control_client(2);
  tpm.take_control();
  EXPECT_EQ(tpm.ask(ControlCommand::lock_storage), tpm_fail);
  EXPECT_TRUE(info().sealed);
}

TEST_F(SharedImageTest, WithoutALockWhoWasOvertakenTakesNothingBack) {
  SharedTpm tpm(disk_, true);
  start(tpm);
  const HookedPlace other_host(disk_, true);
  auto other = Store::open(other_host.device(), inline_options());
  ASSERT_OK(other);
  ASSERT_EQ(tpm.ask(ControlCommand::stop), tpm_success);
  static_cast<void>(tpm.ask(ControlCommand::init)); // It may look, or the first command does.
  EXPECT_FALSE(tpm.takes_a_command());
  EXPECT_EQ(tpm.custody.state(), Custody::State::gone);
  EXPECT_FALSE(tpm.keeper.is_attached());
  EXPECT_EQ(tpm.ask(ControlCommand::init), tpm_fail);
  const Result<bool> current = (*other)->is_current();
  ASSERT_OK(current);
  EXPECT_TRUE(*current);
}

TEST_F(SharedImageTest, WhatIsStoredByAWordIsDurableWhereverTheImageIs) {
  for (const bool is_remote : {false, true}) {
    SharedTpm tpm(disk_, is_remote);
    start(tpm);
    const std::uint64_t generation = info().generation;
    EXPECT_EQ(tpm.ask(ControlCommand::store_volatile), tpm_success);
    EXPECT_FALSE(tpm.tpm.has_changes());
    EXPECT_GT(info().generation, generation);
    ASSERT_EQ(tpm.fetch(), tpm_success);
    EXPECT_EQ(tpm.ask(ControlCommand::store_volatile), tpm_fail);
    EXPECT_EQ(tpm.ask(ControlCommand::lock_storage), tpm_success);
  }
}

TEST_F(SharedImageTest, NothingIsOpenedByWhoWaitsForAState) {
  SharedTpm tpm(disk_);
  tpm.take_control();
  EXPECT_EQ(tpm.ask(ControlCommand::init), tpm_fail);
  EXPECT_EQ(tpm.ask(ControlCommand::lock_storage), tpm_fail);
  EXPECT_EQ(tpm.fetch(), tpm_fail);
  EXPECT_FALSE(ask_worker(tpm.worker, [&] { return tpm.storage.unseal(); }).ok());
  EXPECT_EQ(tpm.place.open_count, 0);
}

} // namespace
} // namespace vnvram::test
