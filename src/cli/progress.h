// A line on standard error for work that takes a while.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace vnvram::cli {

/// Shows percents, at most a few times a second, for 64 MiB and more or when it takes longer than a
/// second, and only when standard error is a terminal. The line is gone when the object is.
class Progress {
public:
  explicit Progress(std::string what);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { clear(); }

  /// Whether there is anybody to see it.
  [[nodiscard]] bool has_terminal() const { return terminal_; }
  void show(std::uint64_t done_bytes, std::uint64_t all_bytes);
  /// Takes the line away; show() brings it back.
  void clear();

private:
  std::string what_;
  bool terminal_;
  bool shown_ = false;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_;
};

} // namespace vnvram::cli
