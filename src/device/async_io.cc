#include "device/async_io.h"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace vnvram {
namespace {

constexpr unsigned pair_size = 2;

// glibc has no wrappers for them.
long setup(unsigned request_count, aio_context_t& queue) {
  return ::syscall(SYS_io_setup, request_count, &queue);
}

long submit(aio_context_t queue, std::span<iocb*> requests) {
  long count = 0;
  do {
    count = ::syscall(SYS_io_submit, queue, static_cast<long>(requests.size()), requests.data());
  } while (count < 0 && errno == EINTR);
  return count;
}

long wait(aio_context_t queue, std::span<io_event> events) {
  long count = 0;
  const auto wanted = static_cast<long>(events.size());
  do {
    count = ::syscall(SYS_io_getevents, queue, wanted, wanted, events.data(), nullptr);
  } while (count < 0 && errno == EINTR);
  return count;
}

iocb request(int fd, unsigned short what, std::uint64_t offset_bytes, const std::byte* bytes,
             std::size_t size_bytes) {
  iocb made{};
  made.aio_lio_opcode = what;
  made.aio_fildes = static_cast<std::uint32_t>(fd);
  made.aio_buf = reinterpret_cast<std::uintptr_t>(bytes);
  made.aio_nbytes = size_bytes;
  made.aio_offset = static_cast<std::int64_t>(offset_bytes);
  return made;
}

} // namespace

AsyncIo::~AsyncIo() {
  if (queue_ != 0 && pid_ == ::getpid()) {
    (void)::syscall(SYS_io_destroy, queue_);
  }
}

bool AsyncIo::set_up() {
  const pid_t pid = ::getpid();
  if (pid_ != pid) { // Once: where there is none to be had, others would only ask in vain.
    pid_ = pid;
    queue_ = 0;
    if (setup(pair_size, queue_) < 0) {
      queue_ = 0;
    }
  }
  return queue_ != 0;
}

AsyncIo::Ends AsyncIo::write_durable_and_read(int fd, std::uint64_t write_offset_bytes,
                                              std::span<const std::byte> data,
                                              std::uint64_t read_offset_bytes,
                                              std::span<std::byte> buffer) {
  std::array<iocb, pair_size> requests = {
      request(fd, IOCB_CMD_PWRITE, write_offset_bytes, data.data(), data.size()),
      request(fd, IOCB_CMD_PREAD, read_offset_bytes, buffer.data(), buffer.size())};
  requests[0].aio_rw_flags = RWF_DSYNC;
  std::array<std::int64_t, pair_size> ends{};
  run(requests, ends, [] {});
  return {.written = ends[0], .read = ends[1]};
}

std::int64_t AsyncIo::read_while(int fd, std::uint64_t offset_bytes, std::span<std::byte> buffer,
                                 const std::function<void()>& meanwhile) {
  std::array<iocb, 1> requests = {
      request(fd, IOCB_CMD_PREAD, offset_bytes, buffer.data(), buffer.size())};
  std::array<std::int64_t, 1> ends{};
  run(requests, ends, meanwhile);
  return ends[0];
}

void AsyncIo::run(std::span<iocb> requests, std::span<std::int64_t> ends,
                  const std::function<void()>& meanwhile) {
  const std::lock_guard one_at_a_time(mutex_);
  std::fill(ends.begin(), ends.end(), -EAGAIN);
  std::array<iocb*, pair_size> queued{};
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].aio_data = i;
    queued.at(i) = &requests[i];
  }
  const long begun = set_up() ? submit(queue_, std::span(queued).first(requests.size())) : 0;
  meanwhile();
  for (std::size_t ended = 0; begun > 0 && ended < static_cast<std::size_t>(begun);) {
    std::array<io_event, pair_size> events{};
    const long count =
        wait(queue_, std::span(events).first(static_cast<std::size_t>(begun) - ended));
    if (count < 0) { // Not even that: the buffers are the kernel's until the queue is gone.
      (void)::syscall(SYS_io_destroy, queue_);
      queue_ = 0;
      std::fill(ends.begin(), ends.begin() + begun, -EIO);
      return;
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      ends[events.at(i).data] = events.at(i).res;
    }
    ended += static_cast<std::size_t>(count);
  }
}

} // namespace vnvram
