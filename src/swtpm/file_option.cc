#include "swtpm/file_option.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "swtpm/option_list.h"

namespace vnvram {
namespace {

constexpr std::array log_keys = {
    OptionKey{"file"},
    OptionKey{"fd", OptionKind::integer},
    OptionKey{"level", OptionKind::natural},
    OptionKey{"prefix"},
    OptionKey{"truncate", OptionKind::flag},
};

constexpr std::array pid_keys = {
    OptionKey{"file"},
    OptionKey{"fd", OptionKind::integer},
};

} // namespace

LogOption default_log() {
  LogOption log;
  log.prefix = "swtpm: ";
  return log;
}

Result<LogOption> parse_log(std::string_view text) {
  const Result<OptionList> list = OptionList::parse("logging", text, log_keys);
  if (!list.ok()) {
    return list.error();
  }
  LogOption log;
  log.file = list->text("file").value_or("");
  log.is_off = log.file == "-";
  log.descriptor = list->descriptor("fd");
  // Level 0 is 1: --log was given, so something is to be logged.
  log.level = std::max(1U, static_cast<unsigned>(list->number("level").value_or(1)));
  log.prefix = list->text("prefix").value_or("");
  log.truncates = list->flag("truncate");
  return log;
}

Result<PidOption> parse_pid(std::string_view text) {
  const Result<OptionList> list = OptionList::parse("pid", text, pid_keys);
  if (!list.ok()) {
    return list.error();
  }
  PidOption pid;
  pid.file = list->text("file").value_or("");
  pid.descriptor = list->descriptor("fd");
  if (!pid.file.empty()) {
    return pid;
  }
  if (!pid.descriptor) {
    return option_error("The file or fd parameter is required for the pid option.");
  }
  struct stat status {};
  if (::fstat(*pid.descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    return option_error(fmt::format("Bad filedescriptor {} for pid file", *pid.descriptor),
                        "it has to be a file that is open for writing");
  }
  return pid;
}

} // namespace vnvram
