// What is changed beside the blobs, without a session that asks for it.
#include "serve/header_changes.h"

#include "unit/keys/key_fixture.h"
#include "unit/serve/served_image.h"

namespace vnvram::test {
namespace {

class HeaderChangesTest : public ServedImage {
protected:
  void SetUp() override {
    key_slots_ = {new_slot(host_, "host")};
    keys_.add(source(host_));
    serve({spec("a", 4096)});
  }

  KeyFiles files_;
  std::string host_ = files_.file("the key of this host: 16 bytes or more");
};

TEST_F(HeaderChangesTest, WhoHasTheDataKeyExchangedIsToldWhatEverybodyCanAsk) {
  HeaderChanges changes(keeper_);
  unsigned told_count = 0;
  ASSERT_OK(
      changes.rotate_data_key({.progress = [&](std::uint64_t done_bytes, std::uint64_t all_bytes) {
        ++told_count;
        const auto asked = changes.rotation_under_way();
        ASSERT_TRUE(asked);
        EXPECT_EQ(asked->done_bytes, done_bytes);
        EXPECT_EQ(asked->all_bytes, all_bytes);
      }}));
  EXPECT_GT(told_count, 0U);
  EXPECT_FALSE(changes.rotation_under_way());
}

} // namespace
} // namespace vnvram::test
