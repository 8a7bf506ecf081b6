// The anchor that a command keeps: well-behaved, hostile, dying and silent commands.
#include "anchor/command_anchor.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "support/expect_status.h"
#include "support/temporary_directory.h"
#include "unit/anchor/anchor_points.h"

namespace vnvram::test {
namespace {

// Only what is to hang waits for it.
constexpr std::chrono::milliseconds answer_time{100};

std::shared_ptr<CommandAnchor>
start(const std::string& command,
      std::chrono::milliseconds time = CommandAnchor::answer_time_default) {
  auto started = CommandAnchor::start(command, time);
  EXPECT_OK(started);
  return *started;
}

// Answers each question so.
std::string answering(const std::string& answer) {
  return "while read -r line; do " + answer + "; done";
}

TEST(CommandAnchor, KeepsWhatItIsGiven) {
  const TemporaryDirectory directory;
  const std::string kept = directory.path("kept");
  const std::string command = "while read -r verb point; do case $verb in read) cat '" + kept +
                              "' 2>/dev/null || echo none;; write) printf '%s\\n' \"$point\" >'" +
                              kept + "' && echo ok;; esac; done";
  const auto anchor = start(command);
  ASSERT_OK(anchor->lock());
  EXPECT_EQ(anchor->read().value(), std::nullopt);
  for (int generation = 1; generation < 50; ++generation) {
    AnchorPoint point = example_point();
    point.generation = static_cast<std::uint64_t>(generation);
    ASSERT_OK(anchor->write(point));
    EXPECT_EQ(anchor->read().value(), point);
    if (generation % 10 == 0) {
      EXPECT_EQ(start(command)->read().value(), point);
    }
  }
}

TEST(CommandAnchor, PassesOnWhatTheCommandSays) {
  const auto anchor = start(answering("echo \"error the key service is away\""));
  for (int time = 0; time < 2; ++time) {
    const auto read = anchor->read();
    EXPECT_KIND(read, io);
    EXPECT_NE(read.error().cause().find("the key service is away"), std::string::npos);
    EXPECT_KIND(anchor->write(example_point()), io);
  }
}

TEST(CommandAnchor, TakesNoOtherAnswer) {
  for (const std::string& answer :
       {std::string("echo"), std::string("printf 'ok\\nok\\n'"), std::string("echo OK"),
        std::string("printf 'ok\\nmore'"), std::string("echo none"),
        std::string("printf 'o\\000k\\n'"), std::string("head -c 100000 /dev/zero"),
        std::string("yes"), std::string("printf '\\033[2J\\n'")}) {
    const auto anchor = start(answering(answer));
    const Status written = anchor->write(example_point());
    EXPECT_KIND(written, io);
    EXPECT_EQ(written.error().text().find('\033'), std::string::npos);
    EXPECT_KIND(anchor->write(example_point()), io); // It is given up.
  }
}

TEST(CommandAnchor, TakesNoPointThatIsNone) {
  for (const char* answer : {"echo ok", "echo '{}'", "echo", "echo nonee"}) {
    EXPECT_KIND(start(answering(answer))->read(), corrupt);
  }
}

TEST(CommandAnchor, NoticesThatItDies) {
  for (const char* command : {"exit 3", "read -r line; exit 0", "read -r line; kill -9 $$",
                              "read -r line; printf 'no', exit 1", "/nowhere/command"}) {
    const auto anchor = start(command);
    EXPECT_KIND(anchor->write(example_point()), io);
    EXPECT_KIND(anchor->read(), io);
  }
  const auto anchor = start("read -r line; echo 'no such key' >&2; exit 1");
  EXPECT_NE(anchor->read().error().cause().find("no such key"), std::string::npos);
}

TEST(CommandAnchor, WaitsForNoneThatIsSilent) {
  for (const char* command :
       {"sleep infinity", "exec sleep infinity", "read -r line; printf ok; exec sleep infinity",
        "while :; do read -r line; done"}) {
    const auto anchor = start(command, answer_time);
    EXPECT_KIND(anchor->write(example_point()), io);
    EXPECT_KIND(anchor->write(example_point()), io);
  }
}

} // namespace
} // namespace vnvram::test
