// What ends a vnvram-swtpm beside a signal.
#pragma once

#include <atomic>
#include <utility>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// Threads: ask() from any, at any time; the others from the one that serves.
class ProcessEnd {
public:
  /// Errors: io.
  static Result<ProcessEnd> make();

  /// `why` is static. The first one counts.
  void ask(const char* why);
  /// Readable once somebody has asked.
  [[nodiscard]] int fd() const { return wake_fd_.get(); }
  /// nullptr: nobody has asked.
  [[nodiscard]] const char* why() const { return why_; }

  ProcessEnd(ProcessEnd&& other) noexcept
      : wake_fd_(std::move(other.wake_fd_)), why_(other.why_.load()) {}
  ProcessEnd& operator=(ProcessEnd&&) = delete;
  ProcessEnd(const ProcessEnd&) = delete;
  ProcessEnd& operator=(const ProcessEnd&) = delete;
  ~ProcessEnd() = default;

private:
  explicit ProcessEnd(UniqueFd wake_fd) : wake_fd_(std::move(wake_fd)) {}

  UniqueFd wake_fd_;
  std::atomic<const char*> why_ = nullptr;
};

} // namespace vnvram
