// A remote client with a thread that hears of its owner's failures, while others call.
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "support/expect_status.h"
#include "unit/client/lasting_client_fixture.h"

namespace vnvram::test {
namespace {

std::set<std::filesystem::path> threads() {
  std::set<std::filesystem::path> found;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    found.insert(thread.path());
  }
  return found;
}

/// How often it has gone to sleep.
std::uint64_t sleep_count(const std::filesystem::path& thread) {
  const std::string before = "voluntary_ctxt_switches:";
  std::ifstream status(thread / "status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(before)) {
      return std::stoull(line.substr(before.size()));
    }
  }
  ADD_FAILURE() << thread << " has gone";
  return 0;
}

TEST_F(LastingClient, WhoHearsOfFailuresIsNotWokenByOthersAnswers) {
  ASSERT_OK(write("a"));
  const std::set<std::filesystem::path> before = threads();
  client_->watch_failures([](const Error& error) { ADD_FAILURE() << error.text(); });
  const std::set<std::filesystem::path> after = threads();
  const auto watcher = std::find_if(after.begin(), after.end(), [&before](const auto& thread) {
    return !before.contains(thread);
  });
  ASSERT_NE(watcher, after.end());
  // It looks up after a while by itself, however few answers have come by then.
  constexpr int writes = 2000;
  constexpr int rounds_max = 20;
  std::uint64_t fewest = writes;
  for (int round = 0; round < rounds_max && fewest >= writes / 10; ++round) {
    const std::uint64_t slept = sleep_count(*watcher);
    for (int count = 0; count < writes; ++count) {
      ASSERT_OK(write(count % 2 == 0 ? "b" : "c"));
    }
    fewest = std::min(fewest, sleep_count(*watcher) - slept);
  }
  EXPECT_LT(fewest, writes / 10);
}

} // namespace
} // namespace vnvram::test
