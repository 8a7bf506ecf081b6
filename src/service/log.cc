#include "service/log.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <utility>

#include "base/plain_text.h"

namespace vnvram {
namespace {

struct LevelText {
  std::string_view journal;
  std::string_view name;
};
constexpr std::array<LevelText, 4> level_texts = {{
    {"<3>", "error: "},
    {"<4>", "warning: "},
    {"<6>", ""},
    {"<7>", "debug: "},
}};

bool is_in_journal() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing of ours changes the environment.
  return std::getenv("JOURNAL_STREAM") != nullptr;
}

} // namespace

Log::Log(std::string_view program, LogLevel level)
    : Log({.descriptor = STDERR_FILENO, .prefix = std::string(program) + ": "}, level) {}

Log::Log(LogTarget target, LogLevel level)
    : target_(std::move(target)), level_(level),
      journal_(target_.descriptor == STDERR_FILENO && is_in_journal()) {}

void Log::write(LogLevel level, std::string_view text) const {
  if (level > level_ || target_.descriptor < 0) {
    return;
  }
  const LevelText& marks = level_texts.at(static_cast<std::size_t>(level));
  std::string line;
  if (journal_) {
    line += marks.journal;
  }
  line += target_.prefix;
  line += marks.name;
  // A file's name may hold anything; one event stays one line.
  std::string one_line(text);
  std::replace(one_line.begin(), one_line.end(), '\n', ' ');
  line += plain_text(one_line);
  line += '\n';
  // There is nobody to tell when the log itself cannot be written.
  [[maybe_unused]] const auto written = ::write(target_.descriptor, line.data(), line.size());
}

} // namespace vnvram
