#include "copies/committer.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <new>
#include <system_error>
#include <thread>

#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "copies/copy_payload.h"
#include "vnvram/open_device.h"

namespace vnvram::test {
namespace {

// Beside those that the full ring asks for: every stage of a checkpoint shall be met by a copy.
constexpr std::uint64_t checkpoint_interval = 50;
constexpr std::chrono::microseconds poll_interval{50};
// No commit takes as long; a process that hangs is a failure.
constexpr std::chrono::seconds patience{60};

CommitProgress* map_progress() {
  void* memory = ::mmap(nullptr, sizeof(CommitProgress), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    throw std::system_error(errno, std::generic_category(), "mmap");
  }
  return new (memory) CommitProgress;
}

Status commit_until_told(const std::string& image, CommitProgress& progress) {
  auto device = open_device(image, Access::read_write);
  if (!device) {
    return device.error();
  }
  auto store = Store::open(std::move(*device));
  if (!store) {
    return store.error();
  }
  for (std::uint64_t number = 0; !progress.end; ++number) {
    progress.submitted = number;
    if (Status done = (*store)->commit(payload_transaction(number)); !done) {
      return done;
    }
    progress.acknowledged = number;
    if (number % checkpoint_interval == 0) {
      if (Status done = (*store)->checkpoint(); !done) {
        return done;
      }
    }
  }
  return (*store)->close();
}

} // namespace

void Committer::Unmap::operator()(CommitProgress* progress) const {
  ::munmap(progress, sizeof(CommitProgress));
}

Committer::Committer(const std::string& image) : progress_(map_progress()) {
  process_ = ::fork();
  if (process_ < 0) {
    throw std::system_error(errno, std::generic_category(), "fork");
  }
  if (process_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const Status done = commit_until_told(image, *progress_);
    if (!done) {
      fmt::print(stderr, "committer: {}\n", done.error().text());
    }
    ::_exit(done ? 0 : 1);
  }
}

Committer::~Committer() {
  if (!ended()) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, &status_, 0);
  }
}

bool Committer::ended() {
  if (process_ > 0 && ::waitpid(process_, &status_, WNOHANG) == process_) {
    process_ = -1;
  }
  return process_ < 0;
}

bool Committer::wait_acknowledged(std::uint64_t number) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (acknowledged() < number) {
    if (ended() || std::chrono::steady_clock::now() > end) {
      return false;
    }
    std::this_thread::sleep_for(poll_interval);
  }
  return true;
}

bool Committer::pause() {
  if (ended() || ::kill(process_, SIGSTOP) != 0) {
    return false;
  }
  int status = 0;
  return ::waitpid(process_, &status, WUNTRACED) == process_ && WIFSTOPPED(status);
}

void Committer::go_on() {
  ::kill(process_, SIGCONT);
}

bool Committer::end() {
  progress_->end = true;
  if (process_ > 0 && ::waitpid(process_, &status_, 0) == process_) {
    process_ = -1;
  }
  return WIFEXITED(status_) && WEXITSTATUS(status_) == 0;
}

} // namespace vnvram::test
