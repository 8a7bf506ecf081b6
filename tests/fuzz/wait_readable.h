// Waiting for a descriptor, beside libFuzzer's alarm signals.
#pragma once

#include <poll.h>

#include <cerrno>

namespace vnvram::fuzz {

/// False if nothing comes within half a minute.
inline bool wait_readable(int fd) {
  constexpr int deadline_ms = 30000;
  pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
  int result = 0;
  do {
    result = ::poll(&entry, 1, deadline_ms);
  } while (result < 0 && errno == EINTR);
  return result > 0;
}

} // namespace vnvram::fuzz
