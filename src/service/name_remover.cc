#include "service/name_remover.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

#include "service/sandbox.h"

namespace vnvram {
namespace {

constexpr char to_remember = 'r';
constexpr char to_remove = 'e';

Error system_error(const char* what) {
  return {ErrorKind::io, std::string(what) + ": " + std::system_category().message(errno)};
}

struct Name {
  std::string path;
  UniqueFd file; // Held, so that no other file gets its number.
};

bool is_same_file(const Name& name) {
  struct stat ours {};
  struct stat there {};
  return ::fstat(name.file.get(), &ours) == 0 && ::lstat(name.path.c_str(), &there) == 0 &&
         there.st_dev == ours.st_dev && there.st_ino == ours.st_ino;
}

bool receive(char expected) {
  char asked = 0;
  return ::read(STDIN_FILENO, &asked, 1) == 1 && asked == expected;
}

bool answer() {
  return ::write(STDIN_FILENO, "k", 1) == 1;
}

// The life of the process. The end of the connection is its own end.
[[noreturn]] void serve(std::vector<Name> names, bool confined) {
  if (!receive(to_remember)) {
    ::_exit(0);
  }
  for (Name& name : names) {
    name.file = UniqueFd(::open(name.path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  }
  if ((confined && !confine_name_remover()) || !answer()) {
    ::_exit(1);
  }
  if (receive(to_remove)) {
    for (const Name& name : names) {
      if (is_same_file(name)) {
        ::unlink(name.path.c_str());
      }
    }
    (void)answer();
  }
  ::_exit(0);
}

[[noreturn]] void become_remover(std::vector<Name> names, int connection, bool confined) {
  // Whoever ends a group of processes ends the daemon, which needs it until then.
  sigset_t all;
  (void)::sigfillset(&all);
  (void)::pthread_sigmask(SIG_SETMASK, &all, nullptr);
  (void)::setsid();
  if (::dup2(connection, STDIN_FILENO) < 0 ||
      ::syscall(SYS_close_range, STDIN_FILENO + 1, ~0U, 0) != 0) {
    ::_exit(1);
  }
  serve(std::move(names), confined);
}

} // namespace

Result<std::unique_ptr<NameRemover>> NameRemover::start(std::vector<std::string> paths,
                                                        bool confined) {
  std::vector<Name> names;
  names.reserve(paths.size());
  for (std::string& path : paths) {
    names.push_back({.path = std::move(path), .file = UniqueFd()});
  }
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return system_error("cannot make a pair of sockets");
  }
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  const pid_t process = ::fork();
  if (process < 0) {
    return system_error("cannot start the process that removes sockets and pid file");
  }
  if (process == 0) {
    become_remover(std::move(names), theirs.get(), confined);
  }
  return std::unique_ptr<NameRemover>(new NameRemover(process, std::move(ours)));
}

NameRemover::~NameRemover() {
  (void)ask(to_remove);
  connection_.reset();
  while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Status NameRemover::remember() {
  return ask(to_remember);
}

Status NameRemover::ask(char what) {
  ssize_t count = 0;
  do {
    count = ::send(connection_.get(), &what, 1, MSG_NOSIGNAL);
  } while (count < 0 && errno == EINTR);
  char answer = 0;
  while (count == 1 && ((count = ::read(connection_.get(), &answer, 1)) < 0) && errno == EINTR) {
    count = 1;
  }
  return count == 1 ? Status{}
                    : Error(ErrorKind::io, "the process that removes sockets and pid file ended");
}

} // namespace vnvram
