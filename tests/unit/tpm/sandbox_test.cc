// Every system call that there is, made under vnvram-tpm's filter.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/pr.h>
#include <poll.h>
#include <sched.h>
#include <scsi/sg.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <set>
#include <string>
#include <thread>

#include "service/sandbox.h"
#include "support/sanitizers.h"

namespace vnvram {
namespace {

// The filter's list, once more: who widens it has to say so here, too.
const std::set<std::string> passing = {"read",
                                       "write",
                                       "pread64",
                                       "pwrite64",
                                       "preadv",
                                       "pwritev",
                                       "preadv2",
                                       "pwritev2",
                                       "readv",
                                       "writev",
                                       "fsync",
                                       "fdatasync",
                                       "fallocate",
                                       "fadvise64",
                                       "lseek",
                                       "fstat",
                                       "newfstatat",
                                       "statx",
                                       "lstat",
                                       "stat",
                                       "flock",
                                       "close",
                                       "poll",
                                       "ppoll",
                                       "accept4",
                                       "recvfrom",
                                       "recvmsg",
                                       "sendto",
                                       "sendmsg",
                                       "setsockopt",
                                       "shutdown",
                                       "getsockopt",
                                       "getpeername",
                                       "wait4",
                                       "io_setup",
                                       "io_submit",
                                       "io_getevents",
                                       "io_destroy",
                                       "brk",
                                       "munmap",
                                       "mremap",
                                       "madvise",
                                       "mlock",
                                       "futex",
                                       "sched_yield",
                                       "rseq",
                                       "set_robust_list",
                                       "restart_syscall",
                                       "clock_gettime",
                                       "clock_getres",
                                       "clock_nanosleep",
                                       "nanosleep",
                                       "gettimeofday",
                                       "time",
                                       "times",
                                       "getrusage",
                                       "getrandom",
                                       "getpid",
                                       "gettid",
                                       "getuid",
                                       "geteuid",
                                       "getgid",
                                       "getegid",
                                       "uname",
                                       "sysinfo",
                                       "sched_getaffinity",
                                       "rt_sigaction",
                                       "rt_sigprocmask",
                                       "rt_sigreturn",
                                       "sigaltstack",
                                       "exit",
                                       "exit_group"};
const std::set<std::string> passing_with_admin = {"epoll_wait", "epoll_pwait", "epoll_ctl",
                                                  "connect",    "getsockname", "eventfd2"};
const std::set<std::string> failing = {"open",       "openat", "access",   "faccessat", "readlink",
                                       "readlinkat", "bind",   "sendmmsg", "mkdir"};

constexpr int passed = 0;
constexpr int failed_with_eacces = 1;
constexpr int killed = 1000 + SIGSYS;

// What a process comes to that is confined and then does this: its own exit status, or 1000 and the
// signal that ended all of it.
int fate_with(SandboxNeeds needs, const std::function<int()>& deed) {
  const pid_t child = ::fork();
  if (child == 0) {
    (void)::prctl(PR_SET_DUMPABLE, 0); // No core files.
    // Whatever hangs ends; SIGALRM is no verdict that a test expects.
    (void)::alarm(30);
    std::_Exit(confine(Seccomp::on, needs) ? deed() : 99);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

int fate_of(bool has_admin, const std::function<int()>& deed) {
  return fate_with({.connections = has_admin}, deed);
}

int call(long number, long a = -1, long b = -1, long c = -1) {
  errno = 0;
  return ::syscall(number, a, b, c, -1L, -1L, -1L) == -1 && errno == EACCES ? failed_with_eacces
                                                                            : passed;
}

constexpr bool filter_runs_here = !test::sanitized;

class SandboxTest : public testing::Test {
protected:
  void SetUp() override {
    if (!filter_runs_here) {
      // Its runtime makes system calls that the filter ends a process for. The release build runs
      // it.
      GTEST_SKIP() << "a sanitizer makes calls that the filter ends a process for: see release";
    }
  }
};

// uretprobe and uprobe, x86's: Linux asks no filter about them, and ends who calls them himself.
bool is_never_filtered(long number) {
  return seccomp_arch_native() == SCMP_ARCH_X86_64 && (number == 335 || number == 336);
}

void walk_all_calls(bool has_admin) {
  int walked = 0;
  for (long number = 0; number < 1024; ++number) {
    char* const resolved =
        seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, static_cast<int>(number));
    const std::string name = resolved == nullptr ? std::to_string(number) : resolved;
    std::free(resolved); // NOLINT(cppcoreguidelines-no-malloc): libseccomp allocates it so.
    if (name == "rt_sigreturn" || name == "exit" || name == "exit_group" ||
        is_never_filtered(number)) {
      continue; // They do not return; the process's end needs one of them.
    }
    ++walked;
    const bool passes = passing.contains(name) || (has_admin && passing_with_admin.contains(name));
    const int expected = passes ? passed : failing.contains(name) ? failed_with_eacces : killed;
    EXPECT_EQ(fate_of(has_admin, [&] { return call(number); }), expected) << name;
  }
  EXPECT_GE(walked, 1019);
}

TEST_F(SandboxTest, EverySystemCallThatIsNotNeededEndsTheProcess) {
  walk_all_calls(false);
}

TEST_F(SandboxTest, WithAnAdminSocketAFewMorePass) {
  walk_all_calls(true);
}

TEST_F(SandboxTest, SignalsReachNoOtherProcess) {
  const auto signal_to = [](long process) {
    return [process] { return call(SYS_tgkill, process, process, 0); };
  };
  EXPECT_EQ(fate_of(false, [] { return call(SYS_tgkill, ::getpid(), ::gettid(), 0); }), passed);
  EXPECT_EQ(fate_of(false, signal_to(::getpid())), killed);
  EXPECT_EQ(fate_of(false, signal_to(1)), killed);
  // The kernel would cut it off.
  EXPECT_EQ(fate_of(false, [] { return call(SYS_tgkill, ::getpid() | 1L << 32, ::gettid(), 0); }),
            killed);
  EXPECT_EQ(fate_of(false, [] { return call(SYS_tkill, ::gettid(), 0); }), killed);
  EXPECT_EQ(fate_of(false, [] { return call(SYS_kill, ::getpid(), 0); }), killed);
  EXPECT_EQ(fate_of(false, []() -> int { std::abort(); }), 1000 + SIGABRT);
}

TEST_F(SandboxTest, NoDescriptorSendsSignals) {
  for (const int command : {F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY, F_SETPIPE_SZ}) {
    EXPECT_EQ(fate_of(false, [&] { return call(SYS_fcntl, 0, command, ::getppid()); }), killed)
        << command;
  }
  for (const int command : {F_GETFD, F_GETFL, F_OFD_SETLK, F_OFD_GETLK, F_DUPFD_CLOEXEC}) {
    EXPECT_EQ(fate_of(false, [&] { return call(SYS_fcntl, -1, command, 0); }), passed) << command;
  }
}

TEST_F(SandboxTest, NoMemoryBecomesExecutable) {
  const auto map = [](int protection) {
    return [protection] {
      return ::mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
                 ? 2
                 : passed;
    };
  };
  const auto protect = [](int protection) {
    return [protection] {
      void* page = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      return ::mprotect(page, 4096, protection) == 0 ? passed : 2;
    };
  };
  for (const int protection : {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE}) {
    EXPECT_EQ(fate_of(false, map(protection)), passed) << protection;
    EXPECT_EQ(fate_of(false, protect(protection)), passed) << protection;
    EXPECT_EQ(fate_of(false, map(protection | PROT_EXEC)), killed) << protection;
    EXPECT_EQ(fate_of(false, protect(protection | PROT_EXEC)), killed) << protection;
  }
}

TEST_F(SandboxTest, ADescriptorIsAskedForItsSizeAndItsReservationAndNothingElse) {
  for (const unsigned long request : std::initializer_list<unsigned long>{
           BLKGETSIZE64, BLKDISCARD, BLKZEROOUT, IOC_PR_REGISTER, IOC_PR_RESERVE}) {
    EXPECT_EQ(fate_of(false, [&] { return call(SYS_ioctl, -1, static_cast<long>(request)); }),
              passed);
  }
  for (const unsigned long request : std::initializer_list<unsigned long>{
           BLKROSET, BLKRRPART, FICLONE, TIOCSTI, SG_IO, IOC_PR_PREEMPT_ABORT, IOC_PR_CLEAR}) {
    EXPECT_EQ(fate_of(false, [&] { return call(SYS_ioctl, -1, static_cast<long>(request)); }),
              killed);
  }
}

TEST_F(SandboxTest, SCSICommandsAreForABlockDeviceThatIsOpenedLater) {
  const auto fate = [](bool files, bool block_device, unsigned long request) {
    return fate_with({.files = files, .block_device = block_device},
                     [&] { return call(SYS_ioctl, -1, static_cast<long>(request)); });
  };
  EXPECT_EQ(fate(true, true, SG_IO), passed);
  EXPECT_EQ(fate(true, false, SG_IO), failed_with_eacces);
  EXPECT_EQ(fate(false, true, SG_IO), killed);
  EXPECT_EQ(fate(false, false, SG_IO), killed);
  for (const bool files : {false, true}) {
    for (const unsigned long request :
         std::initializer_list<unsigned long>{IOC_PR_REGISTER, IOC_PR_RESERVE}) {
      EXPECT_EQ(fate(files, true, request), passed);
      EXPECT_EQ(fate(files, false, request), failed_with_eacces);
    }
    EXPECT_EQ(fate(files, true, IOC_PR_CLEAR), killed);
  }
}

TEST_F(SandboxTest, NoLogIsATerminal) {
  EXPECT_EQ(fate_of(false, [] { return ::isatty(STDERR_FILENO) == 0 && errno == ENOTTY ? 0 : 2; }),
            passed);
}

TEST_F(SandboxTest, OnlyTheAdminConnectsAndOnlyToDrives) {
  const auto make = [](int family, int type) {
    return [=] { return call(SYS_socket, family, type, 0); };
  };
  for (const int family : {AF_UNIX, AF_INET, AF_INET6}) {
    EXPECT_EQ(fate_of(false, make(family, SOCK_STREAM)), killed) << family;
    EXPECT_EQ(fate_of(true, make(family, SOCK_STREAM)), passed) << family;
  }
  EXPECT_EQ(fate_of(true, make(AF_NETLINK, SOCK_RAW)), failed_with_eacces);
  for (const int family : {AF_PACKET, AF_VSOCK, AF_ALG, AF_UNSPEC}) {
    EXPECT_EQ(fate_of(true, make(family, SOCK_RAW)), killed) << family;
  }
}

#if defined(__x86_64__)
// All of the process ends, not the thread that made the call: the others would go on without it, or
// be a zombie that keeps the image locked.
int in_another_thread(const std::function<void()>& deed) {
  std::array<int, 2> go = {};
  const pid_t child = ::pipe2(go.data(), O_CLOEXEC) == 0 ? ::fork() : -1;
  if (child == 0) {
    (void)::prctl(PR_SET_DUMPABLE, 0);
    // Threads cannot be started later.
    std::thread thread([&] {
      char byte = 0;
      if (::read(go[0], &byte, 1) == 1) {
        deed();
      }
      ::syscall(SYS_exit, 0);
    });
    (void)::alarm(30);
    if (!confine(Seccomp::on, {.connections = true}) || ::write(go[1], "x", 1) != 1) {
      std::_Exit(99);
    }
    ::poll(nullptr, 0, -1);
    std::_Exit(98);
  }
  (void)::close(go[0]);
  (void)::close(go[1]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

TEST_F(SandboxTest, ACallOfX32EndsTheWholeProcess) {
  constexpr long x32_bit = 0x40000000;
  EXPECT_EQ(in_another_thread([] { ::syscall(x32_bit | SYS_getpid); }), killed);
  EXPECT_EQ(in_another_thread([] { ::syscall(x32_bit | SYS_open, "/dev/null", O_RDONLY); }),
            killed);
}

TEST_F(SandboxTest, ACallOfI386EndsTheWholeProcess) {
  const int fate = in_another_thread([] {
    long result = 20; // Its getpid.
    asm volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
  });
  // A kernel without these calls takes the instruction for a fault.
  EXPECT_TRUE(fate == killed || fate == 1000 + SIGSEGV) << fate;
}
#endif

// librbd sets timers and makes connections whenever it sees fit.
TEST_F(SandboxTest, AClientLibraryDoesWhatItLikesButForWhatAdministers) {
  const auto fate = [](const std::function<int()>& deed) {
    return fate_with({.client_library = true}, deed);
  };
  for (const long number : {SYS_timerfd_create, SYS_timerfd_settime, SYS_epoll_create1,
                            SYS_eventfd2, SYS_pipe2, SYS_socket, SYS_connect, SYS_bind,
                            SYS_sendmmsg, SYS_openat, SYS_prctl, SYS_sched_setaffinity}) {
    EXPECT_EQ(fate([&] { return call(number); }), passed) << number;
  }
  EXPECT_EQ(fate([] {
              std::thread([] {}).join();
              return passed;
            }),
            passed);
  for (const long number : {SYS_execve, SYS_execveat, SYS_fork, SYS_vfork, SYS_kill, SYS_ptrace,
                            SYS_process_vm_writev, SYS_mount, SYS_unshare, SYS_setns, SYS_bpf,
                            SYS_init_module, SYS_reboot, SYS_io_uring_setup}) {
    EXPECT_EQ(fate([&] { return call(number); }), killed) << number;
  }
  EXPECT_EQ(fate([] { return call(SYS_clone, 0, 0, 0); }), killed); // Another process.
}

TEST_F(SandboxTest, TheRemoverOfNamesCanDoNothingElse) {
  const auto fate = [](const std::function<int()>& deed) {
    const pid_t child = ::fork();
    if (child == 0) {
      (void)::prctl(PR_SET_DUMPABLE, 0);
      std::_Exit(confine_name_remover() ? deed() : 99);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
  };
  for (const long number : {SYS_open, SYS_openat, SYS_rename, SYS_rmdir, SYS_unlinkat, SYS_socket,
                            SYS_connect, SYS_kill, SYS_tgkill, SYS_ptrace, SYS_clone, SYS_fork,
                            SYS_execve, SYS_mprotect, SYS_mmap, SYS_process_vm_writev}) {
    EXPECT_EQ(fate([&] { return call(number); }), killed) << number;
  }
  for (const long number : {SYS_read, SYS_write, SYS_lstat, SYS_unlink}) {
    EXPECT_EQ(fate([&] { return call(number); }), passed) << number;
  }
}

} // namespace
} // namespace vnvram
