#include "base/descriptor_passing.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

namespace vnvram::test {
namespace {

class DescriptorPassingTest : public testing::Test {
protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
    one_ = UniqueFd(ends[0]);
    other_ = UniqueFd(ends[1]);
  }
  void send_two_descriptors() const {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> control{};
    char text = 'x';
    iovec part{.iov_base = &text, .iov_len = 1};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(2 * sizeof(int));
    const std::array<int, 2> both = {one_.get(), other_.get()};
    std::memcpy(CMSG_DATA(header), both.data(), sizeof(both));
    ASSERT_EQ(::sendmsg(one_.get(), &message, MSG_NOSIGNAL), 1);
  }

  UniqueFd one_;
  UniqueFd other_;
};

TEST_F(DescriptorPassingTest, TextWithAndWithoutADescriptor) {
  ASSERT_TRUE(pass_descriptor(one_.get(), "with", one_.get()).ok());
  ASSERT_TRUE(pass_text(one_.get(), "without").ok());
  auto taken = take_descriptor(other_.get());
  ASSERT_TRUE(taken.ok() && *taken);
  EXPECT_EQ((*taken)->text, "with");
  EXPECT_TRUE((*taken)->descriptor.valid());
  taken = take_descriptor(other_.get());
  ASSERT_TRUE(taken.ok() && *taken);
  EXPECT_EQ((*taken)->text, "without");
  EXPECT_FALSE((*taken)->descriptor.valid());
  taken = take_descriptor(other_.get());
  EXPECT_TRUE(taken.ok() && !*taken);
}

// None of them stays open.
TEST_F(DescriptorPassingTest, TwoDescriptorsAreRefused) {
  send_two_descriptors();
  const UniqueFd before(::dup(one_.get()));
  EXPECT_EQ(take_descriptor(other_.get()).error().kind(), ErrorKind::io);
  const UniqueFd after(::dup(one_.get()));
  EXPECT_EQ(after.get(), before.get() + 1);
}

TEST_F(DescriptorPassingTest, NothingAndTooMuchAreNotSent) {
  EXPECT_EQ(pass_text(one_.get(), "").error().kind(), ErrorKind::too_large);
  EXPECT_EQ(pass_text(one_.get(), std::string(passed_text_max_bytes + 1, 'x')).error().kind(),
            ErrorKind::too_large);
}

TEST_F(DescriptorPassingTest, TheOtherEndHasGone) {
  one_.reset();
  EXPECT_EQ(take_descriptor(other_.get()).error().kind(), ErrorKind::absent);
}

} // namespace
} // namespace vnvram::test
