// The daemon's log: one line for each event, on stderr or wherever it is to be.
#pragma once

#include <string>
#include <string_view>

namespace vnvram {

enum class LogLevel { error, warning, info, debug };

/// Where a log's lines go, and how they begin.
struct LogTarget {
  int descriptor = -1; ///< Outlives the log; negative: nowhere.
  std::string prefix;  ///< As it is, with nothing behind it.
};

/// Threads: any. A line is one write, so lines of several threads never mix. Under systemd each
/// line on stderr starts with the journal's priority mark.
class Log {
public:
  /// On stderr; `program` begins each line.
  Log(std::string_view program, LogLevel level);
  Log(LogTarget target, LogLevel level);

  void error(std::string_view text) const { write(LogLevel::error, text); }
  void warning(std::string_view text) const { write(LogLevel::warning, text); }
  void info(std::string_view text) const { write(LogLevel::info, text); }
  void debug(std::string_view text) const { write(LogLevel::debug, text); }

private:
  void write(LogLevel level, std::string_view text) const;

  LogTarget target_;
  LogLevel level_;
  bool journal_;
};

} // namespace vnvram
