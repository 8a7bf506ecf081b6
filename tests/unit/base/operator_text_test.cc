#include "base/operator_text.h"

#include <gtest/gtest.h>

namespace vnvram {
namespace {

TEST(OperatorText, OperationsAreSaidAsCommands) {
  EXPECT_EQ(with_commands("`repair` mends it, `salvage --all` gets out what is intact"),
            "vnvram repair mends it, vnvram salvage --all gets out what is intact");
  EXPECT_EQ(with_commands("`anchor accept`, or `encrypt` it"),
            "vnvram anchor accept, or vnvram encrypt it");
  EXPECT_EQ(with_commands("stop it first"), "stop it first");
  EXPECT_EQ(with_commands("check the name; `force` to lose that data"),
            "check the name; --force to lose that data");
  EXPECT_EQ(with_commands(""), "");
}

TEST(OperatorText, WhatIsNoOperationStaysAsItIs) {
  EXPECT_EQ(with_commands("give a`b`.img its length back, `resize` it"),
            "give a`b`.img its length back, vnvram resize it");
  EXPECT_EQ(with_commands("`vnvram create vm.img --tpm2` makes one, `ls` shows it"),
            "`vnvram create vm.img --tpm2` makes one, vnvram ls shows it");
  EXPECT_EQ(with_commands("a ` alone"), "a ` alone");
}

// A name that a user has given may have backquotes.
TEST(OperatorText, TheCauseIsNotLookedAt) {
  const Error error(ErrorKind::corrupt, "`x`: damaged", "`check` tells more");
  EXPECT_EQ(operator_text(error),
            Error(ErrorKind::corrupt, "`x`: damaged", "vnvram check tells more").text());
  EXPECT_EQ(for_operators(error).kind(), ErrorKind::corrupt);
}

} // namespace
} // namespace vnvram
