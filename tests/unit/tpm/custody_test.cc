// May a command run, and may a commit happen: by what QEMU and the operator have said.
#include "tpm/custody.h"

#include <gtest/gtest.h>

namespace vnvram::test {
namespace {

using State = Custody::State;

class CustodyTest : public testing::Test {
protected:
  void SetUp() override {
    ASSERT_TRUE(tpm_.initialise(false).ok());
    ASSERT_FALSE(tpm_.is_off());
    custody_.image_adopted(false);
  }
  /// As when the machine's QEMU has fetched the state and has gone.
  void go_away() {
    ASSERT_TRUE(custody_.hand_over());
    custody_.controller_gone();
  }

  const Log log_{"test", LogLevel::error};
  SoftTpm tpm_{TpmVersion::tpm2_0, tpm_blob_specs(TpmVersion::tpm2_0),
               std::vector<std::vector<std::byte>>(tpm_state_count), Manufacture::allowed};
  Custody custody_{tpm_, {}, log_};
};

TEST_F(CustodyTest, CommandsRunWhileTheStateIsOursAndThereIsAnImage) {
  EXPECT_TRUE(custody_.serves());
  EXPECT_TRUE(custody_.may_run());
  EXPECT_TRUE(custody_.may_shut_down());
  custody_.image_given_up();
  EXPECT_FALSE(custody_.serves());
  EXPECT_FALSE(custody_.may_shut_down());
  tpm_.stop(); // One that is off answers, with a failure.
  EXPECT_TRUE(custody_.serves());
}

TEST_F(CustodyTest, AStateThatWasHandedOverComesBackOrIsGone) {
  ASSERT_TRUE(custody_.hand_over());
  EXPECT_FALSE(custody_.hand_over());
  EXPECT_FALSE(custody_.serves());
  EXPECT_FALSE(custody_.may_commit_unasked());
  custody_.take_back();
  EXPECT_TRUE(custody_.may_run());
  go_away();
  EXPECT_EQ(custody_.state(), State::gone);
  EXPECT_TRUE(custody_.serves()); // So that commands fail.
  EXPECT_FALSE(custody_.may_run());
  custody_.take_back();
  EXPECT_EQ(custody_.state(), State::gone);
  custody_.take_over();
  EXPECT_TRUE(custody_.may_run());
}

TEST_F(CustodyTest, WhatIsOursStaysOursWhenTheControllerGoes) {
  custody_.controller_gone();
  EXPECT_TRUE(custody_.is_ours());
}

TEST_F(CustodyTest, WithAQemuThatDoesNotSayThatItGoesOnTheStateIsAlwaysOurs) {
  Custody without(tpm_, {.seals = false}, log_);
  EXPECT_FALSE(without.hand_over());
  EXPECT_TRUE(without.is_ours());
}

TEST_F(CustodyTest, AnImageIsSealedAtOnceAndADriveOfSomebodyElseWhenTheStateIsGone) {
  EXPECT_FALSE(custody_.is_to_be_sealed());
  ASSERT_TRUE(custody_.hand_over());
  EXPECT_TRUE(custody_.is_to_be_sealed());
  custody_.image_adopted(true);
  EXPECT_FALSE(custody_.is_to_be_sealed());
  custody_.controller_gone();
  EXPECT_TRUE(custody_.is_to_be_sealed());
}

TEST_F(CustodyTest, ASealedImageTakesWithItWhatWasOurs) {
  EXPECT_TRUE(custody_.image_is_sealed());
  EXPECT_EQ(custody_.state(), State::gone);
  EXPECT_FALSE(custody_.image_is_sealed());
}

TEST_F(CustodyTest, ADriveIsLookedAtOnceAfterEachPowerOn) {
  EXPECT_FALSE(custody_.must_look());
  custody_.image_adopted(true);
  custody_.power_on_begins();
  EXPECT_FALSE(custody_.serves());
  custody_.powered_on(false);
  EXPECT_TRUE(custody_.serves());
  EXPECT_FALSE(custody_.may_run());
  EXPECT_FALSE(custody_.may_commit_unasked());
  EXPECT_TRUE(custody_.must_look());
  EXPECT_TRUE(custody_.may_run());
  EXPECT_FALSE(custody_.must_look());
  custody_.powered_on(false);
  custody_.has_looked();
  EXPECT_FALSE(custody_.must_look());
}

TEST_F(CustodyTest, APowerOnWithAStateThatWasSetMakesItOurs) {
  go_away();
  custody_.powered_on(false);
  EXPECT_EQ(custody_.state(), State::gone);
  custody_.powered_on(true);
  EXPECT_TRUE(custody_.is_ours());
}

TEST_F(CustodyTest, AStateOfWhichThereIsACopyIsNotChangedForTheGuest) {
  custody_.note_copy();
  EXPECT_FALSE(custody_.may_shut_down());
  EXPECT_TRUE(custody_.may_run());
  custody_.command_runs();
  EXPECT_TRUE(custody_.may_shut_down());
}

} // namespace
} // namespace vnvram::test
