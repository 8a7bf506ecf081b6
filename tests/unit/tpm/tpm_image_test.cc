// A TPM on blobs whose owner may be anyone: what it reads, what it commits, and what becomes of it
// when that fails.
#include "tpm/tpm_image.h"

#include <gtest/gtest.h>

#include "device/memory_device.h"
#include "owner/image_keeper.h"
#include "support/expect_status.h"
#include "support/memory_blob_client.h"
#include "tpm/tpm_storage.h"

namespace vnvram::test {
namespace {

constexpr TpmVersion version = TpmVersion::tpm2_0;

class TpmImageTest : public testing::Test {
protected:
  Status register_all() { return client_.register_blobs(tpm_blob_specs(version)); }
  Result<TpmImage> read() { return read_tpm_image(client_, "image", {}); }
  Result<std::uint64_t> write_permanent(std::uint64_t size_bytes) {
    Transaction transaction;
    transaction.set_size("tpm2.permanent", size_bytes);
    return commit_with_room(client_, transaction);
  }

  std::shared_ptr<MemoryBlobs> blobs_ = std::make_shared<MemoryBlobs>();
  MemoryBlobClient client_{blobs_};
};

TEST_F(TpmImageTest, HasAllOfATpmsBlobsOrIsRefused) {
  EXPECT_KIND(read(), not_found);
  auto specs = tpm_blob_specs(version);
  specs.pop_back();
  ASSERT_OK(client_.register_blobs(specs));
  EXPECT_KIND(read(), not_found);
  ASSERT_OK(register_all());
  const auto image = read();
  ASSERT_OK(image);
  EXPECT_EQ(image->version, version);
  EXPECT_EQ(image->manufacture, Manufacture::allowed);
  EXPECT_EQ(image->contents, std::vector<std::vector<std::byte>>(tpm_state_count));
  EXPECT_EQ(image->state.generation, client_.state()->generation);
}

TEST_F(TpmImageTest, WithTwoTpmsAsksForAChoice) {
  ASSERT_OK(register_all());
  ASSERT_OK(client_.register_blobs(tpm_blob_specs(TpmVersion::tpm1_2)));
  EXPECT_KIND(read(), invalid_argument);
  EXPECT_EQ(read_tpm_image(client_, "image", {TpmVersion::tpm1_2})->version, TpmVersion::tpm1_2);
}

TEST_F(TpmImageTest, OfAStateThatIsLostNoTpmIsMade) {
  ASSERT_OK(register_all());
  ASSERT_OK(write_permanent(100));
  EXPECT_EQ(read()->manufacture, Manufacture::forbidden);
  ASSERT_OK(write_permanent(0));
  EXPECT_KIND(read(), corrupt);
}

TEST_F(TpmImageTest, OfSeveralTpmsIsTheOneThatIsWanted) {
  const std::string prefix = "guest2/";
  ASSERT_OK(register_all());
  const auto second = [&] { return read_tpm_image(client_, "image", {std::nullopt, prefix}); };
  EXPECT_KIND(second(), not_found);
  ASSERT_OK(client_.register_blobs(tpm_blob_specs(version, prefix)));
  ASSERT_OK(write_permanent(100));
  ASSERT_OK(read());
  const auto image = second();
  ASSERT_OK(image);
  EXPECT_EQ(image->specs.front().name, "guest2/tpm2.permanent");
  EXPECT_EQ(image->manufacture, Manufacture::allowed); // The other one's state is not its own.
  EXPECT_TRUE(image->contents.front().empty());
  Transaction transaction;
  transaction.set_size("guest2/tpm2.permanent", image->specs.front().size_max_bytes + 1);
  ASSERT_OK(commit_with_room(client_, transaction));
  EXPECT_EQ(client_.blob("tpm2.permanent")->size_bytes, 100U);
}

TEST_F(TpmImageTest, APrefixIsOneThatNamesCanHave) {
  ASSERT_OK(check_tpm_blobs_prefix(""));
  ASSERT_OK(check_tpm_blobs_prefix("guest2/"));
  const std::string longest(blob_name_max_bytes - std::string_view("tpm12.permanent").size(), 'x');
  ASSERT_OK(check_tpm_blobs_prefix(longest));
  for (const BlobSpec& each : tpm_blob_specs(TpmVersion::tpm1_2, longest)) {
    EXPECT_LE(each.name.size(), blob_name_max_bytes);
  }
  for (const char* wrong : {"guest 2", "a,b", "=PREFIX", "\xc3\xa4"}) {
    EXPECT_KIND(check_tpm_blobs_prefix(wrong), invalid_argument);
  }
  EXPECT_KIND(check_tpm_blobs_prefix(longest + "x"), invalid_argument);
}

TEST_F(TpmImageTest, GrowsWhatThisLibraryNeedsLargerUnlessTheImageIsSealed) {
  auto small = tpm_blob_specs(version);
  const std::uint64_t wanted_bytes = small.front().size_max_bytes;
  small.front().size_max_bytes = 4096;
  ASSERT_OK(client_.register_blobs(small));
  blobs_->set_sealed(true);
  EXPECT_EQ(read()->specs.front().size_max_bytes, 4096U);
  blobs_->set_sealed(false);
  EXPECT_EQ(read()->specs.front().size_max_bytes, wanted_bytes);
}

TEST_F(TpmImageTest, ABlobThatIsOutgrownGrowsBeforeTheCommit) {
  ASSERT_OK(register_all());
  const std::uint64_t larger_bytes = client_.blob("tpm2.permanent")->size_max_bytes + 1;
  ASSERT_OK(write_permanent(larger_bytes));
  EXPECT_EQ(client_.blob("tpm2.permanent")->size_bytes, larger_bytes);
  EXPECT_KIND(write_permanent(std::uint64_t{8} << 20U), no_space);
  EXPECT_EQ(client_.blob("tpm2.permanent")->size_bytes, larger_bytes);
}

TEST_F(TpmImageTest, RoomIsWhatIsFreeAndWhatOneCommitHolds) {
  ASSERT_OK(register_all());
  const auto room = BlobRoom::of(client_, tpm_blob_specs(version));
  ASSERT_OK(room);
  EXPECT_TRUE(room->check({100U << 10U, 0, 0}).ok());
  EXPECT_KIND(room->check({std::uint64_t{8} << 20U, 0, 0}), no_space);
  EXPECT_KIND(room->check({std::uint64_t{2} << 20U, 0, 0}), too_large);
  blobs_->set_attached(false);
  EXPECT_KIND(BlobRoom::of(client_, tpm_blob_specs(version)), absent);
}

/// The image is opened and sealed by a keeper, which has one of its own here.
class TpmStorageTest : public TpmImageTest {
protected:
  void SetUp() override {
    ASSERT_OK(register_all());
    auto disk = std::make_shared<MemoryDisk>(std::uint64_t{4} << 20U);
    MemoryDevice device(disk);
    ASSERT_OK(create_image(device, {}));
    ASSERT_OK(keeper_.attach(std::make_unique<MemoryDevice>(disk), {.location = "disk"}));
    ASSERT_OK(image_.start_with(*read()));
    ASSERT_OK(tpm_.power_on(Startup::clear));
  }

  const Log log_{"test", LogLevel::error};
  SoftTpm tpm_{version, tpm_blob_specs(version),
               std::vector<std::vector<std::byte>>(tpm_state_count), Manufacture::allowed};
  Custody custody_{tpm_, {}, log_};
  ImageKeeper keeper_{{}};
  ImageTrouble trouble_{client_, log_};
  AdoptedImage image_{tpm_, custody_, client_, "disk", log_};
  TpmStorage storage_{{tpm_, custody_, image_, &keeper_, client_, trouble_, log_}, {}};
};

TEST_F(TpmStorageTest, WhatTheTpmHasChangedIsOnItsBlobs) {
  ASSERT_TRUE(tpm_.has_changes());
  ASSERT_OK(storage_.commit_first());
  EXPECT_FALSE(tpm_.has_changes());
  std::vector<std::byte> state;
  ASSERT_EQ(tpm_.get_state(TpmState::permanent, state), tpm_success);
  EXPECT_EQ(blobs_->durable_content("tpm2.permanent"), state);
  EXPECT_EQ(storage_.status().image.generation, client_.state()->generation);
}

TEST_F(TpmStorageTest, ACommitWhoseAnswerIsLostFailsTheTpmForGood) {
  blobs_->fail(1, FailsAt::answer);
  EXPECT_FALSE(storage_.commit());
  EXPECT_TRUE(tpm_.failed());
  EXPECT_FALSE(storage_.prepare());
  EXPECT_FALSE(storage_.commit());
  EXPECT_FALSE(storage_.status().image_error.empty());
}

TEST_F(TpmStorageTest, AStateThatWasHandedOverIsSealedWithAllThatWasChanged) {
  ASSERT_TRUE(custody_.hand_over());
  storage_.commit_without_command();
  EXPECT_FALSE(blobs_->durable_content("tpm2.permanent").empty());
  EXPECT_TRUE(client_.state()->sealed);
  custody_.take_back();
  EXPECT_TRUE(storage_.prepare());
  EXPECT_FALSE(client_.state()->sealed);
}

TEST_F(TpmStorageTest, AHoldIsThatOfTheImageUntilItIsResumedOrClosed) {
  ASSERT_OK(storage_.commit_first());
  storage_.hold();
  EXPECT_EQ(keeper_.info().ring_used_bytes, 0U);
  storage_.resume();
  ASSERT_OK(keeper_.use(StoreGate::Purpose::change)); // It would wait.
  storage_.hold();
  ASSERT_OK(storage_.close());
  EXPECT_FALSE(storage_.status().attached);
}

} // namespace
} // namespace vnvram::test
