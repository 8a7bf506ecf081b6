// Preloaded into any program: records what it does to one file (trace.h). Each call is recorded
// before it is made, with nothing of another thread between the two, so that the trace is the order
// in which things happened, whenever the program is killed.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdlib>
#include <mutex>

#include "powercut/trace.h"

namespace {

using vnvram::test::TraceKind;
using vnvram::test::TraceOperation;

class Recorder {
public:
  static Recorder& instance() {
    static Recorder recorder; // Preloaded code has no other place to live.
    return recorder;
  }

  bool follows(int fd) const {
    struct stat status = {};
    return output_ >= 0 && ::fstat(fd, &status) == 0 && status.st_dev == followed_.st_dev &&
           status.st_ino == followed_.st_ino;
  }

  template <typename Call>
  auto record(TraceKind kind, std::uint64_t offset, const struct iovec* parts, int count,
              std::uint64_t length, Call call) {
    const std::lock_guard lock(mutex_);
    const TraceOperation operation{kind, offset, length};
    put(&operation, sizeof(operation));
    for (int i = 0; i < count; ++i) {
      put(parts[i].iov_base, parts[i].iov_len);
    }
    return call();
  }

private:
  Recorder() {
    const char* file = std::getenv(vnvram::test::trace_file_variable);
    const char* output = std::getenv(vnvram::test::trace_output_variable);
    if (file != nullptr && output != nullptr && ::stat(file, &followed_) == 0) {
      output_ = ::open(output, O_WRONLY | O_APPEND | O_CLOEXEC);
    }
  }

  void put(const void* bytes, std::size_t length) {
    const auto* at = static_cast<const char*>(bytes);
    while (length > 0) {
      const ssize_t written = ::write(output_, at, length);
      if (written <= 0) {
        std::abort(); // A trace with a hole would prove nothing.
      }
      at += written;
      length -= static_cast<std::size_t>(written);
    }
  }

  std::mutex mutex_;
  struct stat followed_ = {};
  int output_ = -1;
};

std::uint64_t length_of(const struct iovec* parts, int count) {
  std::uint64_t length = 0;
  for (int i = 0; i < count; ++i) {
    length += parts[i].iov_len;
  }
  return length;
}

template <typename Function> Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

template <typename Call>
ssize_t write_at(int fd, const struct iovec* parts, int count, off64_t offset, bool durable,
                 Call call) {
  Recorder& recorder = Recorder::instance();
  if (!recorder.follows(fd)) {
    return call();
  }
  const bool by_descriptor = (::fcntl(fd, F_GETFL) & O_DSYNC) != 0;
  return recorder.record(durable || by_descriptor ? TraceKind::write_durable : TraceKind::write,
                         static_cast<std::uint64_t>(offset), parts, count, length_of(parts, count),
                         call);
}

template <typename Call> int without_bytes(int fd, TraceKind kind, std::uint64_t size, Call call) {
  Recorder& recorder = Recorder::instance();
  return recorder.follows(fd) ? recorder.record(kind, 0, nullptr, 0, size, call) : call();
}

} // namespace

// The C library's own names; programs built for large files use those that end in 64.
#define RECORDED extern "C" __attribute__((visibility("default")))

RECORDED ssize_t pwritev64v2(int fd, const struct iovec* parts, int count, off64_t offset,
                             int flags) {
  return write_at(fd, parts, count, offset, (flags & (RWF_DSYNC | RWF_SYNC)) != 0, [&] {
    static const auto real = next<decltype(&::pwritev64v2)>("pwritev64v2");
    return real(fd, parts, count, offset, flags);
  });
}

RECORDED ssize_t pwritev64(int fd, const struct iovec* parts, int count, off64_t offset) {
  return write_at(fd, parts, count, offset, false, [&] {
    static const auto real = next<decltype(&::pwritev64)>("pwritev64");
    return real(fd, parts, count, offset);
  });
}

RECORDED ssize_t pwrite64(int fd, const void* bytes, size_t length, off64_t offset) {
  const struct iovec part = {const_cast<void*>(bytes), length};
  return write_at(fd, &part, 1, offset, false, [&] {
    static const auto real = next<decltype(&::pwrite64)>("pwrite64");
    return real(fd, bytes, length, offset);
  });
}

RECORDED int fdatasync(int fd) {
  return without_bytes(fd, TraceKind::flush, 0, [&] {
    static const auto real = next<decltype(&::fdatasync)>("fdatasync");
    return real(fd);
  });
}

RECORDED int fsync(int fd) {
  return without_bytes(fd, TraceKind::flush, 0, [&] {
    static const auto real = next<decltype(&::fsync)>("fsync");
    return real(fd);
  });
}

RECORDED int ftruncate64(int fd, off64_t length) noexcept {
  return without_bytes(fd, TraceKind::resize, static_cast<std::uint64_t>(length), [&] {
    static const auto real = next<decltype(&::ftruncate64)>("ftruncate64");
    return real(fd, length);
  });
}

RECORDED int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
  const auto call = [&] {
    static const auto real = next<decltype(&::fallocate64)>("fallocate64");
    return real(fd, mode, offset, length);
  };
  return mode == 0 ? without_bytes(fd, TraceKind::resize,
                                   static_cast<std::uint64_t>(offset + length), call)
                   : call();
}
