#include "service/sandbox.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/pr.h>
#include <linux/sched.h>
#include <scsi/sg.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

namespace vnvram {
namespace {

Error system_error(const std::string& what, int number) {
  return {ErrorKind::unsupported, what + ": " + std::system_category().message(number)};
}

// Everything that serving, committing, ending in good order and aborting need.
constexpr std::array allowed_calls = {
    // The device.
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(preadv),
    SCMP_SYS(pwritev), SCMP_SYS(preadv2), SCMP_SYS(pwritev2), SCMP_SYS(readv), SCMP_SYS(writev),
    SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(fallocate), SCMP_SYS(fadvise64), SCMP_SYS(lseek),
    SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(lstat), SCMP_SYS(stat),
    SCMP_SYS(flock), SCMP_SYS(close),
    // Both halves of a commit on a block device at once.
    SCMP_SYS(io_setup), SCMP_SYS(io_submit), SCMP_SYS(io_getevents), SCMP_SYS(io_destroy),
    // Sockets that are there.
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(accept4), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
    SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(setsockopt), SCMP_SYS(shutdown),
    // What a socket is that QEMU hands over.
    SCMP_SYS(getsockopt), SCMP_SYS(getpeername),
    // The end of the qemu-nbd that serves a VM image, and of the remover of names; they need no
    // signal from us.
    SCMP_SYS(wait4),
    // Memory, threads, time, random numbers.
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(mlock),
    SCMP_SYS(futex), SCMP_SYS(sched_yield), SCMP_SYS(rseq), SCMP_SYS(set_robust_list),
    SCMP_SYS(restart_syscall), SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time),
    SCMP_SYS(times), SCMP_SYS(getrusage), SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(gettid),
    SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(uname),
    SCMP_SYS(sysinfo), SCMP_SYS(sched_getaffinity),
    // Ending, also by an assertion.
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
    SCMP_SYS(exit), SCMP_SYS(exit_group)};

// An admin socket's loop, and connecting to a drive that is attached later: to a unix socket or a
// numeric address, without TLS, because names and certificates are in files.
constexpr std::array connection_calls = {SCMP_SYS(epoll_wait),  SCMP_SYS(epoll_pwait),
                                         SCMP_SYS(epoll_ctl),   SCMP_SYS(connect),
                                         SCMP_SYS(getsockname), SCMP_SYS(eventfd2)};

constexpr std::array session_calls = {SCMP_SYS(eventfd2)};

constexpr std::array thread_calls = {SCMP_SYS(set_tid_address), SCMP_SYS(sched_setscheduler),
                                     SCMP_SYS(sched_getscheduler), SCMP_SYS(sched_getparam)};

constexpr std::array file_calls = {
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(readlink),
    SCMP_SYS(readlinkat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir), SCMP_SYS(unlink),
    SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(link),
    SCMP_SYS(linkat), SCMP_SYS(truncate), SCMP_SYS(ftruncate), SCMP_SYS(chmod), SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat), SCMP_SYS(fchown), SCMP_SYS(getdents64), SCMP_SYS(statfs), SCMP_SYS(fstatfs),
    SCMP_SYS(getcwd), SCMP_SYS(umask), SCMP_SYS(openat2),
    // What leads a daemon's standard streams nowhere.
    SCMP_SYS(dup2), SCMP_SYS(dup3)};

// A file that could not be lengthened after all gets its length back.
constexpr std::array growth_calls = {SCMP_SYS(ftruncate)};

// glibc's allocator looks at /proc/sys/vm/overcommit_memory the first time it gives memory back,
// and gets by without: no file can be opened, but trying is no reason to die. Nor is looking up a
// host's name, or a certificate, for a drive that is attached.
constexpr std::array denied_calls = {SCMP_SYS(bind), SCMP_SYS(sendmmsg)};
constexpr std::array denied_file_calls = {
    SCMP_SYS(open),     SCMP_SYS(openat),     SCMP_SYS(access), SCMP_SYS(faccessat),
    SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(mkdir)};

// What no library of a server's has any business with, not even one that does as it likes.
constexpr std::array administering_calls = {
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork),
    // Other processes.
    SCMP_SYS(kill), SCMP_SYS(tkill), SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_tgsigqueueinfo),
    SCMP_SYS(pidfd_send_signal), SCMP_SYS(pidfd_getfd), SCMP_SYS(ptrace), SCMP_SYS(kcmp),
    SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(process_madvise),
    // The machine.
    SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen),
    SCMP_SYS(fsmount), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(setns), SCMP_SYS(unshare),
    SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname), SCMP_SYS(acct), SCMP_SYS(quotactl), SCMP_SYS(init_module),
    SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load), SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime), SCMP_SYS(syslog), SCMP_SYS(iopl), SCMP_SYS(ioperm),
    SCMP_SYS(name_to_handle_at), SCMP_SYS(open_by_handle_at),
    // Ways to the kernel that only attackers take here.
    SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(keyctl),
    SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(io_uring_setup), SCMP_SYS(personality)};

// Of ioctl only what asks a block device for its size, or tells it to forget or zero a range.
constexpr std::array<unsigned long, 3> allowed_ioctls = {BLKGETSIZE64, BLKDISCARD, BLKZEROOUT};

// Reserves a block device, and gives that back.
constexpr std::array<unsigned long, 2> reserving_ioctls = {IOC_PR_REGISTER, IOC_PR_RESERVE};

// IOC_PR_READ_RESERVATION, which linux/pr.h has since 7.0; its answer has 16 bytes.
using ReservationRead = std::array<std::uint64_t, 2>;
constexpr unsigned long read_reservation_ioctl = _IOR('p', 207, ReservationRead);

// What a device says of who has reserved it, when it is opened. SG_IO passes any SCSI command on,
// which is in memory, where no filter looks.
constexpr std::array<unsigned long, 2> looking_ioctls = {SG_IO, read_reservation_ioctl};

// What a device says of being read-only, and a file of its holes.
constexpr std::array<unsigned long, 2> file_ioctls = {BLKROGET, FS_IOC_FIEMAP};
constexpr std::array<unsigned long, 1> growth_ioctls = {FS_IOC_FIEMAP};

// Of fcntl only flags and locks. With F_SETOWN and F_SETSIG a descriptor sends any signal to any
// process of the same user.
constexpr std::array<unsigned long, 11> allowed_fcntls = {
    F_DUPFD_CLOEXEC, F_GETFD,  F_SETFD,     F_GETFL,     F_SETFL,     F_GETLK,
    F_SETLK,         F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW};

// What a drive is connected by.
constexpr std::array<unsigned long, 3> allowed_families = {AF_UNIX, AF_INET, AF_INET6};

constexpr std::array name_remover_calls = {
    SCMP_SYS(read),       SCMP_SYS(write),  SCMP_SYS(fstat),      SCMP_SYS(lstat),
    SCMP_SYS(newfstatat), SCMP_SYS(unlink), SCMP_SYS(exit_group), SCMP_SYS(restart_syscall)};

struct FilterRelease {
  void operator()(void* filter) const { seccomp_release(filter); }
};

int allow(void* filter, std::span<const int> calls) {
  for (const int call : calls) {
    if (const int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0); result != 0) {
      return result;
    }
  }
  return 0;
}

// All of an argument's bits count: what the kernel would cut off is no way around.
int allow_if_equal(void* filter, int call, unsigned argument,
                   std::span<const unsigned long> values) {
  for (const unsigned long value : values) {
    const scmp_arg_cmp is_value{.arg = argument, .op = SCMP_CMP_EQ, .datum_a = value, .datum_b = 0};
    const int result = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &is_value);
    if (result != 0) {
      return result;
    }
  }
  return 0;
}

// Memory, but none that can be executed: all code is loaded.
int allow_memory(void* filter) {
  constexpr scmp_arg_cmp not_executable{
      .arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = PROT_EXEC, .datum_b = 0};
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    const int result = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &not_executable);
    if (result != 0) {
      return result;
    }
  }
  return 0;
}

int refuse(void* filter, std::span<const int> calls) {
  for (const int call : calls) {
    const int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), call, 0);
    if (result != 0) {
      return result;
    }
  }
  return 0;
}

int refuse_if_equal(void* filter, int call, unsigned argument,
                    std::span<const unsigned long> values) {
  for (const unsigned long value : values) {
    const scmp_arg_cmp is_value{.arg = argument, .op = SCMP_CMP_EQ, .datum_a = value, .datum_b = 0};
    const int result = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EACCES), call, 1, &is_value);
    if (result != 0) {
      return result;
    }
  }
  return 0;
}

// Where no device was to be expected, one that is opened after all is used as by somebody who may
// not look.
int add_reservations(void* filter, SandboxNeeds needs) {
  const int result = needs.block_device
                         ? allow_if_equal(filter, SCMP_SYS(ioctl), 1, reserving_ioctls)
                         : refuse_if_equal(filter, SCMP_SYS(ioctl), 1, reserving_ioctls);
  if (result != 0 || !needs.files) {
    return result;
  }
  return needs.block_device ? allow_if_equal(filter, SCMP_SYS(ioctl), 1, looking_ioctls)
                            : refuse_if_equal(filter, SCMP_SYS(ioctl), 1, looking_ioctls);
}

int refuse(void* filter) {
  // nbdkit looks whether its log is a terminal.
  constexpr scmp_arg_cmp is_terminal{.arg = 1, .op = SCMP_CMP_EQ, .datum_a = TCGETS, .datum_b = 0};
  if (const int result =
          seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(ENOTTY), SCMP_SYS(ioctl), 1, &is_terminal);
      result != 0) {
    return result;
  }
  return refuse(filter, denied_calls);
}

int allow_connections(void* filter) {
  int result = allow(filter, connection_calls);
  if (result == 0) {
    result = allow_if_equal(filter, SCMP_SYS(socket), 0, allowed_families);
  }
  // The C library looks up the host's own addresses before it connects, and does without.
  constexpr scmp_arg_cmp is_netlink{
      .arg = 0, .op = SCMP_CMP_EQ, .datum_a = AF_NETLINK, .datum_b = 0};
  return result == 0 ? seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 1,
                                              &is_netlink)
                     : result;
}

// A thread of this process, never another process. What clone3() is asked for is in memory, where
// no filter looks: the C library does without it.
int allow_threads(void* filter) {
  int result = allow(filter, thread_calls);
  constexpr scmp_arg_cmp is_thread{
      .arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = CLONE_THREAD, .datum_b = CLONE_THREAD};
  if (result == 0) {
    result = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, &is_thread);
  }
  return result == 0 ? seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0)
                     : result;
}

int fill_filter(void* filter, SandboxNeeds needs) {
  int result = allow(filter, allowed_calls);
  if (result == 0) {
    result = allow_memory(filter);
  }
  // A signal reaches threads of this process alone: abort() raises one.
  const std::array own_process = {static_cast<unsigned long>(::getpid())};
  if (result == 0) {
    result = allow_if_equal(filter, SCMP_SYS(tgkill), 0, own_process);
  }
  if (result == 0) {
    result = allow_if_equal(filter, SCMP_SYS(ioctl), 1, allowed_ioctls);
  }
  if (result == 0) {
    result = allow_if_equal(filter, SCMP_SYS(fcntl), 1, allowed_fcntls);
  }
  if (result == 0 && needs.connections) {
    result = allow_connections(filter);
  }
  if (result == 0 && needs.sessions && !needs.connections) {
    result = allow(filter, session_calls);
  }
  if (result == 0 && needs.threads) {
    result = allow_threads(filter);
  }
  if (result == 0) {
    result = needs.files ? allow(filter, file_calls) : refuse(filter, denied_file_calls);
  }
  if (result == 0 && needs.files) {
    result = allow_if_equal(filter, SCMP_SYS(ioctl), 1, file_ioctls);
  }
  if (result == 0) {
    result = add_reservations(filter, needs);
  }
  if (result == 0 && needs.growth && !needs.files) {
    result = allow(filter, growth_calls);
    result = result == 0 ? allow_if_equal(filter, SCMP_SYS(ioctl), 1, growth_ioctls) : result;
  }
  return result == 0 ? refuse(filter) : result;
}

// In a filter that lets pass what it does not name.
int forbid_to_client_library(void* filter, std::uint32_t forbidden) {
  for (const int call : administering_calls) {
    if (const int result = seccomp_rule_add(filter, forbidden, call, 0); result != 0) {
      return result;
    }
  }
  constexpr scmp_arg_cmp is_process{
      .arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = CLONE_THREAD, .datum_b = 0};
  const int result = seccomp_rule_add_array(filter, forbidden, SCMP_SYS(clone), 1, &is_process);
  return result == 0 ? seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0)
                     : result;
}

std::unique_ptr<void, FilterRelease> make_filter(std::uint32_t otherwise, std::uint32_t forbidden,
                                                 int& result) {
  std::unique_ptr<void, FilterRelease> filter(seccomp_init(otherwise));
  result = filter ? 0 : -ENOMEM;
  // A call of i386 or x32 is as bad as any other; by default it would end one thread only.
  if (result == 0) {
    result = seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, forbidden);
  }
  // All threads, and a tree instead of a list: the filter runs at each system call.
  if (result == 0) {
    result = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  }
  if (result == 0) {
    result = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  }
  return filter;
}

} // namespace

Status confine(Seccomp mode, SandboxNeeds needs) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return system_error("cannot give up new privileges", errno);
  }
  if (mode == Seccomp::off) {
    return {};
  }
  const std::uint32_t forbidden = mode == Seccomp::on ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_LOG;
  int result = 0;
  const auto filter =
      make_filter(needs.client_library ? SCMP_ACT_ALLOW : forbidden, forbidden, result);
  if (result == 0) {
    result = needs.client_library ? forbid_to_client_library(filter.get(), forbidden)
                                  : fill_filter(filter.get(), needs);
  }
  if (result == 0) {
    result = seccomp_load(filter.get());
  }
  if (result != 0) {
    Error error = system_error("cannot install the seccomp filter", -result);
    return Error(error.kind(), error.cause(), "--seccomp off goes without");
  }
  return {};
}

bool confine_name_remover() {
  int result = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (result != 0) {
    return false;
  }
  const auto filter = make_filter(SCMP_ACT_KILL_PROCESS, SCMP_ACT_KILL_PROCESS, result);
  if (result == 0) {
    result = allow(filter.get(), name_remover_calls);
  }
  return result == 0 && seccomp_load(filter.get()) == 0;
}

} // namespace vnvram
