#include "swtpm/process_end.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <system_error>

namespace vnvram {

Result<ProcessEnd> ProcessEnd::make() {
  UniqueFd made(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!made.valid()) {
    return Error(ErrorKind::io,
                 "cannot make an event descriptor: " + std::system_category().message(errno));
  }
  return ProcessEnd(std::move(made));
}

void ProcessEnd::ask(const char* why) {
  const char* nobody = nullptr;
  why_.compare_exchange_strong(nobody, why);
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_fd_.get(), &one, sizeof(one));
}

} // namespace vnvram
