// For tests that leave calls of librbd behind, as a program does that has met a dead cluster.
#include <gtest/gtest.h>

#include "device/left_behind.h"

int main(int argument_count, char** arguments) {
  testing::InitGoogleTest(&argument_count, arguments);
  return vnvram::end_program(RUN_ALL_TESTS());
}
