// A device of who has started this program.
#pragma once

#include <cerrno>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/unique_fd.h"

namespace vnvram {

/// What is read of a device does not block while this exists. Its flags are those of everybody who
/// has the same open file: afterwards they are as they were found, unless this process is killed.
class UnblockedDevice {
public:
  /// A socket is left alone: what is asked of it says so each time. nullopt: errno says why.
  static std::optional<UnblockedDevice> make(const UniqueFd& fd) {
    struct stat status {};
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (flags < 0 || ::fstat(fd.get(), &status) != 0) {
      return std::nullopt;
    }
    if (S_ISSOCK(status.st_mode) || (flags & O_NONBLOCK) != 0) {
      return UnblockedDevice(UniqueFd(), flags);
    }
    UniqueFd same(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
    if (!same.valid() || ::fcntl(same.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
      return std::nullopt;
    }
    return UnblockedDevice(std::move(same), flags);
  }
  UnblockedDevice(UnblockedDevice&&) = default;
  UnblockedDevice& operator=(UnblockedDevice&&) = delete;
  UnblockedDevice(const UnblockedDevice&) = delete;
  UnblockedDevice& operator=(const UnblockedDevice&) = delete;
  ~UnblockedDevice() {
    if (fd_.valid()) {
      (void)::fcntl(fd_.get(), F_SETFL, flags_);
    }
  }

private:
  UnblockedDevice(UniqueFd fd, int flags) : fd_(std::move(fd)), flags_(flags) {}

  UniqueFd fd_;
  int flags_;
};

} // namespace vnvram
