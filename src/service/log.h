// The daemon's log: one line on stderr for each event.
#pragma once

#include <string_view>

namespace vnvram {

enum class LogLevel { error, warning, info, debug };

/// Threads: any. A line is one write, so lines of several threads never mix. Under systemd each
/// line starts with the journal's priority mark.
class Log {
public:
  /// `program` begins each line, and outlives it.
  Log(std::string_view program, LogLevel level);

  void error(std::string_view text) const { write(LogLevel::error, text); }
  void warning(std::string_view text) const { write(LogLevel::warning, text); }
  void info(std::string_view text) const { write(LogLevel::info, text); }
  void debug(std::string_view text) const { write(LogLevel::debug, text); }

private:
  void write(LogLevel level, std::string_view text) const;

  std::string_view program_;
  LogLevel level_;
  bool journal_;
};

} // namespace vnvram
