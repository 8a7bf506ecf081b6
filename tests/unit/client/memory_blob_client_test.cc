// The faults that blobs in memory make up, for tests of what stands on a BlobClient.
#include <gtest/gtest.h>

#include "support/expect_status.h"
#include "support/memory_blob_client.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {
namespace {

class MemoryBlobClientFaults : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_OK(client_.register_blobs(std::vector{spec("blob", 16)}));
    ASSERT_OK(client_.write("blob", 0, bytes("old"), Durability::on_return));
  }
  Result<std::uint64_t> commit(std::string_view text) {
    Transaction transaction;
    transaction.write("blob", bytes(text));
    return client_.commit(transaction);
  }

  std::shared_ptr<MemoryBlobs> blobs_ = std::make_shared<MemoryBlobs>();
  MemoryBlobClient client_{blobs_};
};

TEST_F(MemoryBlobClientFaults, ARequestThatFailsHasDoneNothing) {
  blobs_->fail(2, FailsAt::request, ErrorKind::no_space);
  ASSERT_OK(commit("one"));
  EXPECT_KIND(commit("two"), no_space);
  EXPECT_EQ(blobs_->durable_content("blob"), bytes("one"));
  ASSERT_OK(commit("three"));
}

TEST_F(MemoryBlobClientFaults, AnAnswerThatIsLostHasItsEffect) {
  blobs_->fail(1, FailsAt::answer);
  EXPECT_KIND(commit("new"), io);
  EXPECT_EQ(blobs_->durable_content("blob"), bytes("new"));
  ASSERT_OK(commit("new"));
}

TEST_F(MemoryBlobClientFaults, CallsThatCouldChangeSomethingAreCounted) {
  const std::uint64_t before = blobs_->change_count();
  ASSERT_OK(client_.read_all("blob"));
  ASSERT_OK(commit("new"));
  ASSERT_OK(client_.flush());
  EXPECT_EQ(blobs_->change_count(), before + 2);
}

} // namespace
} // namespace vnvram::test
