// What a program leaves for people to read: --log and --pid.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "vnvram/result.h"

namespace vnvram {

struct LogOption {
  std::string file;              ///< Empty: the descriptor, or stderr.
  std::optional<int> descriptor; ///< Used if there is no file.
  unsigned level = 1;            ///< 1: what happens; more: details; from 5 on libtpms's, too.
  std::string prefix;            ///< Begins each line.
  bool truncates = false;        ///< A file that is there is emptied.
  bool is_off = false;           ///< file=-: nothing is logged.
};

/// What a program without --log has: stderr, and its lines begin as swtpm's do.
LogOption default_log();

/// Errors: invalid_argument.
Result<LogOption> parse_log(std::string_view list);

struct PidOption {
  std::string file;              ///< Empty: the descriptor.
  std::optional<int> descriptor; ///< Of a file, open for writing.
};

/// Errors: invalid_argument.
Result<PidOption> parse_pid(std::string_view list);

} // namespace vnvram
