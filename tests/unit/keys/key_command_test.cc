// A command that makes a key: what it gets, what is taken, and how it may end.
#include "keys/key_command.h"

#include <fcntl.h>

#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "support/expect_status.h"
#include "unit/keys/key_fixture.h"

namespace vnvram::test {
namespace {

constexpr std::size_t much = 100;

TEST(KeyCommandTest, ItsInputAndItsOutput) {
  const auto output = run_key_command("tr a-z A-Z; printf ' end'", bytes_of("some words"), much);
  ASSERT_OK(output);
  EXPECT_EQ(output->get(), bytes_of("SOME WORDS end"));
  const auto reopened = run_key_command("cat /dev/stdin", bytes_of("some words"), much);
  ASSERT_OK(reopened);
  EXPECT_EQ(reopened->get(), bytes_of("some words"));
}

TEST(KeyCommandTest, WhatIsNotReadHurtsNobody) {
  const auto output = run_key_command("echo x", Bytes(4096), much);
  ASSERT_OK(output);
  EXPECT_EQ(output->get(), bytes_of("x\n"));
}

TEST(KeyCommandTest, HowItEndsIsLookedAt) {
  EXPECT_KIND(run_key_command("printf 0123456789abcdef; exit 3", {}, much), io);
  EXPECT_KIND(run_key_command("kill -9 $$", {}, much), io);
  EXPECT_KIND(run_key_command("there-is-no-such-program 2>&-", {}, much), io);
}

TEST(KeyCommandTest, MoreThanAKeyIsRefused) {
  EXPECT_OK(run_key_command("head -c 100 /dev/zero", {}, much));
  EXPECT_KIND(run_key_command("head -c 101 /dev/zero", {}, much), invalid_argument);
  EXPECT_KIND(run_key_command("cat /dev/zero", {}, much), invalid_argument);
}

TEST(KeyCommandTest, OneThatDoesNotEndIsStopped) {
  constexpr std::chrono::milliseconds soon{50};
  EXPECT_KIND(run_key_command("exec sleep 1000", {}, much, soon), io);
  EXPECT_KIND(run_key_command("exec 1>&-; exec sleep 1000", {}, much, soon), io);
}

TEST(KeyCommandTest, ItHasNoDescriptorsOfOurs) {
  const UniqueFd inherited(::open("/dev/null", O_RDONLY)); // Without O_CLOEXEC.
  ASSERT_TRUE(inherited.valid());
  const auto output = run_key_command(
      "test ! -e /proc/self/fd/" + std::to_string(inherited.get()) + " && printf none", {}, much);
  ASSERT_OK(output);
  EXPECT_EQ(output->get(), bytes_of("none"));
}

} // namespace
} // namespace vnvram::test
