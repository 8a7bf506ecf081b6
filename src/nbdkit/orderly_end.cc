#include "nbdkit/orderly_end.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <string>
#include <system_error>

namespace vnvram::nbdkit {
namespace {

/// All that a signal's handler can know: whom it wakes.
volatile std::sig_atomic_t& woken_fd() {
  static constinit volatile std::sig_atomic_t fd = -1;
  return fd;
}

void wake(int wake_fd) {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_fd, &one, sizeof(one));
}

void handle(int /*signal*/) {
  const int before = errno;
  wake(woken_fd());
  errno = before;
}

} // namespace

Result<std::unique_ptr<OrderlyEnd>> OrderlyEnd::prepare(std::function<Status()> finish) {
  UniqueFd wake_fd(::eventfd(0, EFD_CLOEXEC));
  if (!wake_fd.valid()) {
    return Error(ErrorKind::io,
                 "cannot make an event descriptor: " + std::system_category().message(errno));
  }
  return std::unique_ptr<OrderlyEnd>(new OrderlyEnd(std::move(wake_fd), std::move(finish)));
}

OrderlyEnd::OrderlyEnd(UniqueFd wake_fd, std::function<Status()> finish)
    : wake_fd_(std::move(wake_fd)), finish_(std::move(finish)),
      thread_([this] { wait_for_signal(); }) {
  woken_fd() = wake_fd_.get();
  struct sigaction action {};
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGTERM, &action, nullptr);
}

OrderlyEnd::~OrderlyEnd() {
  woken_fd() = -1;
  is_over_ = true;
  wake(wake_fd_.get());
  thread_.join(); // Unless it ends the process.
}

void OrderlyEnd::wait_for_signal() {
  std::uint64_t count = 0;
  ssize_t taken = -1;
  do {
    taken = ::read(wake_fd_.get(), &count, sizeof(count));
  } while (taken < 0 && errno == EINTR);
  if (is_over_) {
    return;
  }
  const std::unique_lock no_more(requests_);
  ::_exit(finish_().ok() ? 0 : 1);
}

} // namespace vnvram::nbdkit
