// One image, several devices: whose it is, and when it is sealed.
#include "serve/owner_server.h"

#include <sys/socket.h>

#include <memory>

#include "unit/serve/requests.h"
#include "unit/serve/served_image.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {
namespace {

class HandOverTest : public ServedImage {
protected:
  void SetUp() override {
    serve({spec("tpm2.state", 4096), spec("uefi.vars", 65536)});
    tpm_ = client();
    flash_ = client();
  }
  [[nodiscard]] bool is_sealed() const { return keeper_.info().sealed; }
  /// What the session's end does is done.
  void end(std::unique_ptr<RemoteBlobClient>& session) {
    session.reset();
    const auto other = operators();
    for (;;) { // It is on the list until then.
      const auto status = other->status();
      ASSERT_OK(status);
      const auto left = (tpm_ != nullptr ? 1U : 0U) + (flash_ != nullptr ? 1U : 0U) + 1U;
      if (status->sessions.size() == left) {
        return;
      }
    }
  }

  std::unique_ptr<RemoteBlobClient> tpm_;
  std::unique_ptr<RemoteBlobClient> flash_;
};

TEST_F(HandOverTest, WhatADeviceClaimsNobodyElseChanges) {
  ASSERT_OK(flash_->claim({"uefi.vars"}));
  EXPECT_KIND(put(*tpm_, "uefi.vars", "x"), in_use);
  EXPECT_KIND(tpm_->claim({"tpm2.state", "uefi.vars"}), in_use);
  ASSERT_OK(put(*flash_, "tpm2.state", "mine by a change"));
  ASSERT_OK(flash_->claim({"uefi.vars"})); // And nothing else.
  ASSERT_OK(tpm_->claim({"tpm2.state"}));
  ASSERT_OK(flash_->claim({}));
  ASSERT_OK(put(*tpm_, "uefi.vars", "x"));
}

TEST_F(HandOverTest, WhileAnotherDeviceIsInUseItGoesOn) {
  ASSERT_OK(tpm_->claim({"tpm2.state"}));
  ASSERT_OK(flash_->claim({"uefi.vars"}));
  ASSERT_OK(tpm_->hand_over());
  EXPECT_FALSE(is_sealed());
  EXPECT_TRUE(client()->state()->sealed); // To who comes now it is.
  ASSERT_OK(put(*flash_, "uefi.vars", "the last"));
  ASSERT_OK(flash_->claim({}));
  EXPECT_TRUE(is_sealed());
  EXPECT_KIND(put(*flash_, "uefi.vars", "too late"), sealed);
}

TEST_F(HandOverTest, TheEndOfTheLastDeviceSealsWhatOneHasHandedOverThatIsGone) {
  ASSERT_OK(tpm_->claim({"tpm2.state"}));
  ASSERT_OK(flash_->claim({"uefi.vars"}));
  ASSERT_OK(tpm_->hand_over());
  end(tpm_);
  EXPECT_FALSE(is_sealed());
  end(flash_);
  EXPECT_TRUE(is_sealed());
}

TEST_F(HandOverTest, WhoHasNotHandedOverSealsNothingByGoing) {
  ASSERT_OK(tpm_->claim({"tpm2.state"}));
  ASSERT_OK(flash_->claim({"uefi.vars"}));
  ASSERT_OK(put(*tpm_, "tpm2.state", "x"));
  end(tpm_);
  end(flash_);
  EXPECT_FALSE(is_sealed());
}

TEST_F(HandOverTest, TwoDevicesThatHandOverSealTogether) {
  ASSERT_OK(tpm_->claim({"tpm2.state"}));
  ASSERT_OK(flash_->claim({"uefi.vars"}));
  ASSERT_OK(tpm_->hand_over());
  ASSERT_OK(flash_->hand_over());
  EXPECT_TRUE(is_sealed());
  ASSERT_OK(tpm_->take_back()); // For both.
  EXPECT_FALSE(is_sealed());
  ASSERT_OK(put(*flash_, "uefi.vars", "goes on"));
  ASSERT_OK(put(*tpm_, "tpm2.state", "goes on"));
}

TEST_F(HandOverTest, WhatOneOfTwoDevicesTakesBackIsNotTheOthersWord) {
  ASSERT_OK(tpm_->claim({"tpm2.state"}));
  ASSERT_OK(flash_->claim({"uefi.vars"}));
  ASSERT_OK(tpm_->hand_over());
  ASSERT_OK(flash_->hand_over());
  ASSERT_OK(flash_->take_back()); // A snapshot of one machine; the other one has gone.
  EXPECT_FALSE(is_sealed());
  EXPECT_TRUE(client()->state()->sealed);
  ASSERT_OK(flash_->hand_over());
  EXPECT_TRUE(is_sealed());
  ASSERT_OK(client()->take_back()); // Who is no device speaks for both.
  EXPECT_FALSE(client()->state()->sealed);
  ASSERT_OK(flash_->hand_over());
  EXPECT_FALSE(is_sealed());
}

TEST_F(HandOverTest, WhatIsTakenBackBeforeItWasSealedIsNotSealedLater) {
  ASSERT_OK(tpm_->claim({"tpm2.state"}));
  ASSERT_OK(flash_->claim({"uefi.vars"}));
  ASSERT_OK(tpm_->hand_over());
  ASSERT_OK(tpm_->take_back());
  EXPECT_FALSE(client()->state()->sealed);
  ASSERT_OK(flash_->claim({}));
  EXPECT_FALSE(is_sealed());
}

TEST_F(HandOverTest, NothingIsSealedWhileChangesAreHeld) {
  ASSERT_OK(tpm_->claim({"tpm2.state"}));
  ASSERT_OK(flash_->claim({"uefi.vars"}));
  ASSERT_OK(tpm_->hand_over());
  const auto owner = operators();
  ASSERT_OK(owner->hold(std::chrono::seconds(10)));
  flash_.reset();
  EXPECT_FALSE(is_sealed());
  ASSERT_OK(owner->release());
  const auto session = client();
  while (!is_sealed()) {
    ASSERT_OK(session->state()); // The session that ends has a thread of its own.
  }
}

TEST_F(HandOverTest, WhoMayOnlyReadHandsNothingOver) {
  const auto session = link();
  const auto ask = [&](auto call) {
    return session->ask<void>(
        [&](rpc::Owner::Client& owner) { return call(narrowed(owner, {{.blob = "uefi.vars"}})); });
  };
  EXPECT_KIND(ask([](rpc::Blobs::Client blobs) {
                return blobs.handOverRequest().send().then(
                    [](auto&& answer) { return take_status(answer); });
              }),
              read_only);
  EXPECT_KIND(ask([](rpc::Blobs::Client blobs) {
                return blobs.takeBackRequest().send().then(
                    [](auto&& answer) { return take_status(answer); });
              }),
              read_only);
  EXPECT_KIND(ask([](rpc::Blobs::Client blobs) {
                return blobs.lookAgainRequest().send().then(
                    [](auto&& answer) { return take_status(answer); });
              }),
              read_only);
  EXPECT_FALSE(is_sealed());
}

class OwnerThatTakesOver : public ServedImage {
protected:
  OwnerThatTakesOver() { takes_over_ = true; }
  void SetUp() override { serve({spec("tpm2.state", 4096), spec("uefi.vars", 65536)}); }
  std::unique_ptr<RemoteBlobClient> admitted(const char* device) {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    server_->admit(UniqueFd(ends[0]), Scope::everything(), {.device = device, .pid = 1});
    auto made = RemoteBlobClient::connect(UniqueFd(ends[1]));
    EXPECT_TRUE(made.ok());
    return *std::move(made);
  }
};

TEST_F(OwnerThatTakesOver, SealsNothingBeforeAllHaveSaidWhatTheyUse) {
  const auto tpm = admitted("tpm");
  const auto flash = admitted("nbd");
  ASSERT_OK(tpm->claim({"tpm2.state"}));
  ASSERT_OK(tpm->hand_over());
  EXPECT_FALSE(keeper_.info().sealed); // The flash may come a moment later.
  ASSERT_OK(flash->claim({"uefi.vars"}));
  ASSERT_OK(put(*flash, "uefi.vars", "goes on"));
  ASSERT_OK(flash->claim({}));
  EXPECT_TRUE(keeper_.info().sealed);
}

} // namespace
} // namespace vnvram::test
