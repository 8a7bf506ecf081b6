#include "device/nbd_connection.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include <fmt/core.h>

#include "device/nbd_device.h"

namespace vnvram {
namespace {

// What one call has under way at most; the rest of a long one follows as answers come.
constexpr std::size_t requests_under_way_max = 16;
// Where a server does not say how large a request may be, the protocol says this.
constexpr std::uint64_t request_size_bytes_default_max = std::uint64_t{32} << 20U;

ErrorKind connect_error_kind(int error) {
  switch (error) {
  case ENOENT: // Also what libnbd says of an export that is not there.
  case ECONNREFUSED: return ErrorKind::absent;
  case ENOTSUP: return ErrorKind::unsupported; // One side wants TLS, the other has none.
  default: return ErrorKind::io;
  }
}

std::string remedy_for(ErrorKind kind) {
  switch (kind) {
  case ErrorKind::absent: return "check that the server runs and has this export";
  case ErrorKind::unsupported: return "nbd:// is without TLS, nbds:// with it";
  case ErrorKind::invalid_argument:
    return "nbd://HOST[:PORT]/EXPORT or nbd+unix:///EXPORT?socket=PATH";
  default: return {};
  }
}

const char* verb(NbdRequest::Kind kind) {
  switch (kind) {
  case NbdRequest::Kind::read: return "read";
  case NbdRequest::Kind::write: return "write";
  case NbdRequest::Kind::write_durable: return "durably write";
  case NbdRequest::Kind::block_status: return "find out about";
  case NbdRequest::Kind::flush: break;
  }
  return "flush";
}

constexpr const char* allocation_context = LIBNBD_CONTEXT_BASE_ALLOCATION;

// libnbd hands out pairs of a length and flags.
int take_extents(void* extents, const char* context, std::uint64_t /*offset*/,
                 std::uint32_t* entries, std::size_t count, int* /*error*/) {
  auto& found = *static_cast<std::vector<NbdExtent>*>(extents);
  if (std::string_view(context) == allocation_context) {
    for (std::size_t index = 0; index + 1 < count; index += 2) {
      found.push_back({entries[index], (entries[index + 1] & LIBNBD_STATE_HOLE) != 0});
    }
  }
  return 0;
}

std::string seconds_text(std::chrono::milliseconds time) {
  return fmt::format("{:g} s", std::chrono::duration<double>(time).count());
}

/// libnbd closes a socket that it was given when its handle is closed.
int connect_by(const NbdLibrary& library, nbd_handle* handle, const NbdTarget& target,
               UniqueFd socket) {
  if (socket.valid()) {
    return library.aio_connect_socket(handle, socket.release());
  }
  return target.uri.empty() ? library.aio_connect_unix(handle, target.unix_path.c_str())
                            : library.aio_connect_uri(handle, target.uri.c_str());
}

} // namespace

NbdConnection::NbdConnection(const NbdLibrary& library, const NbdTarget& target)
    : library_(library), name_(target.name), timeout_(target.timeout),
      handle_(library.create(), Close{&library}), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

// To say goodbye lets the server end the session in good order; it is not waited for.
NbdConnection::~NbdConnection() {
  if (handle_ && !given_up_) {
    library_.aio_disconnect(handle_.get(), 0);
  }
}

Result<std::unique_ptr<NbdConnection>> NbdConnection::connect(const NbdTarget& target) {
  const Clock::time_point deadline = Clock::now() + target.timeout;
  UniqueFd socket(target.socket);
  const Result<const NbdLibrary*> library = NbdLibrary::load();
  if (!library) {
    return library.error();
  }
  std::unique_ptr<NbdConnection> connection(new NbdConnection(**library, target));
  if (!connection->handle_ || !connection->wake_.valid()) {
    return Error(ErrorKind::io, fmt::format("{}: no descriptor or memory left", target.name));
  }
  Status done = connection->start(target, std::move(socket));
  if (done) {
    done = connection->negotiate(deadline);
  }
  if (done) {
    done = connection->learn_properties();
  }
  if (!done) {
    return done.error();
  }
  return connection;
}

Error NbdConnection::connect_error() const {
  const bool not_begun = library_.aio_is_created(handle_.get()) == 1;
  const int error = library_.get_errno();
  const ErrorKind kind =
      not_begun && error == EINVAL ? ErrorKind::invalid_argument : connect_error_kind(error);
  const char* cause = library_.get_error();
  return {kind, fmt::format("{}: cannot connect: {}", name_, cause == nullptr ? "closed" : cause),
          remedy_for(kind)};
}

Status NbdConnection::start(const NbdTarget& target, UniqueFd socket) {
  nbd_handle* handle = handle_.get();
  // Whoever names a URI may read the keys that it names. Other ways to reach a server (vsock) are
  // not tested, so not offered.
  const bool set =
      library_.set_uri_allow_local_file(handle, true) == 0 &&
      library_.set_uri_allow_transports(handle, LIBNBD_ALLOW_TRANSPORT_TCP |
                                                    LIBNBD_ALLOW_TRANSPORT_UNIX) == 0 &&
      (!target.private_server || library_.add_meta_context(handle, allocation_context) == 0) &&
      (!target.uri.empty() || library_.set_export_name(handle, target.export_name.c_str()) == 0);
  const bool started = set && connect_by(library_, handle, target, std::move(socket)) == 0;
  return started ? Status{} : Status(connect_error());
}

Status NbdConnection::negotiate(Clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  while (!given_up_ && library_.aio_is_connecting(handle_.get()) == 1) {
    if (Clock::now() >= deadline) {
      give_up(ErrorKind::io, fmt::format("no answer for {}", seconds_text(timeout_)));
    } else {
      drive(lock, deadline);
    }
  }
  if (!given_up_) {
    return {};
  }
  return Error(given_up_->kind(), fmt::format("{}: cannot connect: {}", name_, given_up_->cause()),
               remedy_for(given_up_->kind()));
}

Status NbdConnection::learn_properties() {
  nbd_handle* handle = handle_.get();
  const std::int64_t size = library_.get_size(handle);
  const std::int64_t smallest = library_.get_block_size(handle, LIBNBD_SIZE_MINIMUM);
  const std::int64_t largest = library_.get_block_size(handle, LIBNBD_SIZE_MAXIMUM);
  if (size < 0 || smallest < 0 || largest < 0) {
    return connect_error();
  }
  properties_.size_bytes = static_cast<std::uint64_t>(size);
  properties_.request_size_min_bytes =
      static_cast<std::uint64_t>(std::max<std::int64_t>(1, smallest));
  properties_.request_size_max_bytes =
      largest == 0 ? request_size_bytes_default_max
                   : std::min(static_cast<std::uint64_t>(largest), request_size_bytes_default_max);
  properties_.read_only = library_.is_read_only(handle) == 1;
  properties_.can_flush = library_.can_flush(handle) == 1;
  properties_.can_fua = library_.can_fua(handle) == 1;
  properties_.can_block_status = library_.can_meta_context(handle, allocation_context) == 1;
  return {};
}

Error NbdConnection::failure(const NbdRequest& request, const std::string& cause,
                             ErrorKind kind) const {
  const std::string what = request.kind == NbdRequest::Kind::flush
                               ? std::string("flush")
                               : fmt::format("{} {} bytes at {}", verb(request.kind),
                                             request.length_bytes, request.offset_bytes);
  return {kind, fmt::format("{}: cannot {}: {}", name_, what, cause)};
}

Status NbdConnection::run(std::span<const NbdRequest> requests) {
  std::array<std::int64_t, requests_under_way_max> cookies{};
  std::size_t sent = 0;
  std::size_t answered = 0;
  Status result;
  Status refused; // A later request than those that result is about.
  std::unique_lock lock(mutex_);
  for (;;) {
    while (result && refused && sent < requests.size() && sent - answered < cookies.size()) {
      const Result<std::int64_t> cookie = send(requests[sent]);
      if (cookie) {
        cookies[sent % cookies.size()] = *cookie;
        ++sent;
      } else {
        refused = cookie.error();
      }
    }
    if (answered == sent) {
      return result ? refused : result;
    }
    // After an error, too: until its answer is there libnbd may use a request's buffer.
    const Status answer = wait(lock, requests[answered], cookies[answered % cookies.size()]);
    ++answered;
    result = result ? answer : result;
  }
}

Result<std::int64_t> NbdConnection::send(const NbdRequest& request) {
  if (given_up_) {
    return failure(request, given_up_->cause());
  }
  nbd_handle* handle = handle_.get();
  const nbd_completion_callback none{};
  std::int64_t cookie = -1;
  switch (request.kind) {
  case NbdRequest::Kind::read:
    cookie = library_.aio_pread(handle, request.into, request.length_bytes, request.offset_bytes,
                                none, 0);
    break;
  case NbdRequest::Kind::write:
  case NbdRequest::Kind::write_durable:
    cookie = library_.aio_pwrite(
        handle, request.from, request.length_bytes, request.offset_bytes, none,
        request.kind == NbdRequest::Kind::write_durable ? LIBNBD_CMD_FLAG_FUA : 0);
    break;
  case NbdRequest::Kind::flush: cookie = library_.aio_flush(handle, none, 0); break;
  case NbdRequest::Kind::block_status: {
    nbd_extent_callback take{};
    take.callback = take_extents;
    take.user_data = request.extents;
    cookie = library_.aio_block_status(handle, request.length_bytes, request.offset_bytes, take,
                                       none, 0);
    break;
  }
  }
  const std::string refusal = cookie < 0 ? library_.get_error() : "";
  if (library_.aio_is_dead(handle) == 1 || library_.aio_is_closed(handle) == 1) {
    give_up(ErrorKind::io, "the connection is lost"); // It tried to send at once.
  }
  if (cookie < 0) {
    return failure(request, given_up_ ? given_up_->cause() : refusal);
  }
  if (driven_ && (library_.aio_get_direction(handle) & LIBNBD_AIO_DIRECTION_WRITE) != 0) {
    wake_driver(); // It may be waiting for answers only.
  }
  return cookie;
}

Status NbdConnection::wait(std::unique_lock<std::mutex>& lock, const NbdRequest& request,
                           std::int64_t cookie) {
  const Clock::time_point deadline = Clock::now() + timeout_;
  for (;;) {
    const int completed =
        library_.aio_command_completed(handle_.get(), static_cast<std::uint64_t>(cookie));
    if (completed > 0) {
      return {};
    }
    if (given_up_) {
      return failure(request, given_up_->cause());
    }
    if (completed < 0) {
      const bool full = library_.get_errno() == ENOSPC;
      return failure(request, library_.get_error(), full ? ErrorKind::no_space : ErrorKind::io);
    }
    if (Clock::now() >= deadline) {
      give_up(ErrorKind::io,
              fmt::format("the server has not answered for {}", seconds_text(timeout_)));
    } else if (driven_) {
      news_.wait_until(lock, deadline);
    } else {
      drive(lock, deadline);
    }
  }
}

/// Waits once for the socket, and does what there is to do.
void NbdConnection::drive(std::unique_lock<std::mutex>& lock, Clock::time_point deadline) {
  const unsigned direction = library_.aio_get_direction(handle_.get());
  short events = 0;
  if ((direction & LIBNBD_AIO_DIRECTION_READ) != 0) {
    events |= POLLIN;
  }
  if ((direction & LIBNBD_AIO_DIRECTION_WRITE) != 0) {
    events |= POLLOUT;
  }
  std::array<pollfd, 2> waiting = {
      {{.fd = library_.aio_get_fd(handle_.get()), .events = events, .revents = 0},
       {.fd = wake_.get(), .events = POLLIN, .revents = 0}}};
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  driven_ = true;
  lock.unlock();
  const int ready = ::poll(waiting.data(), waiting.size(),
                           static_cast<int>(std::max<std::int64_t>(0, left.count())));
  const int error = errno;
  lock.lock();
  driven_ = false;
  if (waiting[1].revents != 0) {
    std::uint64_t ignored = 0;
    (void)!::read(wake_.get(), &ignored, sizeof(ignored));
  }
  if (!given_up_ && ready < 0 && error != EINTR) {
    give_up(ErrorKind::io, "poll: " + std::generic_category().message(error));
  } else if (!given_up_ && ready > 0) {
    handle_events(waiting[0].revents);
  }
  news_.notify_all();
}

// What libnbd waits for may have changed since the events were asked for: another thread has sent
// something.
void NbdConnection::handle_events(short events) {
  nbd_handle* handle = handle_.get();
  const unsigned direction = library_.aio_get_direction(handle);
  int done = 0;
  if ((events & (POLLIN | POLLHUP)) != 0 && (direction & LIBNBD_AIO_DIRECTION_READ) != 0) {
    done = library_.aio_notify_read(handle);
  } else if ((events & (POLLOUT | POLLHUP)) != 0 && (direction & LIBNBD_AIO_DIRECTION_WRITE) != 0) {
    done = library_.aio_notify_write(handle);
  } else if ((events & (POLLERR | POLLNVAL)) != 0) {
    give_up(ErrorKind::io, "the connection is lost");
    return;
  }
  if (done < 0) {
    const char* cause = library_.get_error();
    give_up(connect_error_kind(library_.get_errno()), cause == nullptr ? "failed" : cause);
  } else if (library_.aio_is_dead(handle) == 1 || library_.aio_is_closed(handle) == 1) {
    give_up(ErrorKind::io, "the server has closed the connection");
  }
}

/// The handle is left alone from here on. libnbd's own socket may be closed already.
void NbdConnection::give_up(ErrorKind kind, const std::string& cause) {
  if (given_up_) {
    return;
  }
  given_up_.emplace(kind, cause);
  ::shutdown(library_.aio_get_fd(handle_.get()), SHUT_RDWR);
  if (driven_) {
    wake_driver();
  }
  news_.notify_all();
}

void NbdConnection::wake_driver() const {
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof(one)); // It can only be full of earlier wakes.
}

} // namespace vnvram
