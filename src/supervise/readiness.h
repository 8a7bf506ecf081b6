// Which of the processes that were started are ready.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// The other end of ServiceNotify. Anybody on this host can write to it: what does not come from
/// the process that it is about is not heard.
class Readiness {
public:
  /// Errors: io.
  static Result<Readiness> open();

  /// Readable when something came.
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// NOTIFY_SOCKET=..., for the processes.
  [[nodiscard]] const std::string& environment() const { return environment_; }
  /// The next process that says that it is ready; nothing if none has said something. Never waits.
  [[nodiscard]] std::optional<pid_t> take() const;

private:
  Readiness(UniqueFd fd, std::string environment)
      : fd_(std::move(fd)), environment_(std::move(environment)) {}

  UniqueFd fd_;
  std::string environment_;
};

} // namespace vnvram
