// A program that a test runs: its input and output are pipes, and it never outlives its object.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace vnvram::test {

class Process {
public:
  /// Starts it, found along PATH. Standard error goes where standard output goes.
  explicit Process(const std::vector<std::string>& arguments);
  /// Kills it if it runs.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  void write(const std::string& text);
  void close_input() { input_.reset(); }
  /// Reads on until the output so far contains the text; false when it ends, or the time is over,
  /// without it.
  bool wait_for_output(const std::string& text,
                       std::chrono::milliseconds time_limit = std::chrono::seconds(20));
  /// Closes its input, reads the rest of its output and returns its exit status; 128 + n for signal
  /// n, and for SIGKILL when it had to be killed because it took too long.
  int finish(std::chrono::milliseconds time_limit = std::chrono::seconds(20));
  [[nodiscard]] const std::string& output() const { return output_; }

private:
  /// One read; false at the end of the output or of the time.
  bool read_some(std::chrono::steady_clock::time_point deadline);
  int reap(bool kill);

  pid_t pid_ = -1;
  UniqueFd input_;
  UniqueFd output_pipe_;
  std::string output_;
};

struct Outcome {
  int exit_status = 0;
  std::string output;
};

/// Starts a program, gives it no input, and waits for its end.
Outcome run(const std::vector<std::string>& arguments);

} // namespace vnvram::test
