#include "support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <stdexcept>

namespace vnvram::test {
namespace {

struct Pipe {
  UniqueFd reader;
  UniqueFd writer;
};

Pipe make_pipe() {
  std::array<int, 2> ends = {};
  if (::pipe2(ends.data(), O_CLOEXEC) < 0) {
    throw std::runtime_error("cannot make a pipe");
  }
  return {.reader = UniqueFd(ends[0]), .writer = UniqueFd(ends[1])};
}

} // namespace

Process::Process(const std::vector<std::string>& arguments) {
  Pipe input = make_pipe();
  Pipe output = make_pipe();
  std::vector<char*> argv;
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str())); // The interface predates const.
  }
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, input.reader.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output.writer.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output.writer.get(), STDERR_FILENO);
  const int error = ::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    throw std::runtime_error("cannot start " + arguments.front());
  }
  input_ = std::move(input.writer);
  output_pipe_ = std::move(output.reader);
}

Process::~Process() {
  if (pid_ > 0) {
    reap(true);
  }
}

void Process::write(const std::string& text) {
  if (::write(input_.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw std::runtime_error("cannot write to a process");
  }
}

bool Process::read_some(std::chrono::steady_clock::time_point deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  struct pollfd wait = {.fd = output_pipe_.get(), .events = POLLIN, .revents = 0};
  if (left.count() <= 0 || ::poll(&wait, 1, static_cast<int>(left.count())) <= 0) {
    return false;
  }
  std::array<char, 4096> buffer = {};
  const ssize_t count = ::read(output_pipe_.get(), buffer.data(), buffer.size());
  if (count > 0) {
    output_.append(buffer.data(), static_cast<std::size_t>(count));
  }
  return count > 0;
}

bool Process::wait_for_output(const std::string& text, std::chrono::milliseconds time_limit) {
  const auto deadline = std::chrono::steady_clock::now() + time_limit;
  while (output_.find(text) == std::string::npos) {
    if (!read_some(deadline)) {
      return false;
    }
  }
  return true;
}

int Process::finish(std::chrono::milliseconds time_limit) {
  close_input();
  const auto deadline = std::chrono::steady_clock::now() + time_limit;
  while (read_some(deadline)) {
  }
  return reap(std::chrono::steady_clock::now() >= deadline);
}

int Process::reap(bool kill) {
  if (kill) {
    ::kill(pid_, SIGKILL);
  }
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Outcome run(const std::vector<std::string>& arguments) {
  Process process(arguments);
  const int exit_status = process.finish();
  return {.exit_status = exit_status, .output = process.output()};
}

} // namespace vnvram::test
