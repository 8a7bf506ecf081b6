#include "tpm/command_connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "soft_tpm/tpm_message.h"

namespace vnvram {
namespace {

constexpr std::size_t head_bytes = 9; // A number, a locality, a length.
constexpr std::uint32_t head_number = 8;
constexpr std::size_t head_locality_offset = 4;
constexpr std::size_t head_length_offset = 5;
// More than any response.
constexpr std::size_t unsent_max_bytes = std::size_t{1} << 20U;

bool names_socket(const UniqueFd& fd) {
  struct stat status {};
  return ::fstat(fd.get(), &status) == 0 && S_ISSOCK(status.st_mode);
}

} // namespace

CommandConnection::CommandConnection(UniqueFd socket, bool accepts_heads,
                                     std::size_t command_max_bytes)
    : socket_(std::move(socket)), is_socket_(names_socket(socket_)), accepts_heads_(accepts_heads),
      command_max_bytes_(std::max(command_max_bytes, tpm_header_bytes)),
      inbox_(head_bytes + command_max_bytes_) {}

short CommandConnection::poll_events() const {
  return static_cast<short>(outbox_.empty() ? POLLIN : POLLOUT);
}

bool CommandConnection::receive() {
  if (begin_ > 0) {
    std::memmove(inbox_.data(), inbox_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  std::byte* const place = inbox_.data() + end_;
  const std::size_t room_bytes = inbox_.size() - end_;
  const ssize_t received = is_socket_ ? ::recv(socket_.get(), place, room_bytes, MSG_DONTWAIT)
                                      : ::read(socket_.get(), place, room_bytes);
  if (received < 0) {
    return errno == EAGAIN || errno == EINTR;
  }
  stay_active();
  end_ += static_cast<std::size_t>(received);
  return received > 0;
}

void CommandConnection::drop(std::size_t length_bytes) {
  begin_ += length_bytes;
  if (begin_ == end_) {
    begin_ = end_ = 0;
  }
}

std::optional<CommandConnection::Command> CommandConnection::next() {
  const std::size_t discarded =
      static_cast<std::size_t>(std::min<std::uint64_t>(discard_bytes_, end_ - begin_));
  discard_bytes_ -= discarded;
  drop(discarded);

  const auto bytes = pending();
  Command command;
  if (bytes.size() < tpm_header_bytes) {
    return std::nullopt;
  }
  command.with_head = accepts_heads_ && load_big_endian<std::uint32_t>(bytes, 0) == head_number;
  const std::size_t skip = command.with_head ? head_bytes : 0;
  const auto length = load_big_endian<std::uint32_t>(bytes, command.with_head ? head_length_offset
                                                                              : tpm_length_offset);
  if (command.with_head) {
    command.locality = std::to_integer<std::uint8_t>(bytes[head_locality_offset]);
  }
  last_begin_ = begin_;
  if (length < tpm_header_bytes) {
    last_size_bytes_ = bytes.size();
    drop(bytes.size()); // Where the next command begins cannot be told.
    return command;
  }
  if (length > command_max_bytes_) {
    last_size_bytes_ = 0; // It is still there.
    discard_bytes_ = skip + std::uint64_t{length};
    return command;
  }
  if (bytes.size() < skip + length) {
    return std::nullopt;
  }
  command.bytes = bytes.subspan(skip, length);
  last_size_bytes_ = skip + length;
  drop(last_size_bytes_);
  return command;
}

ssize_t CommandConnection::send_together(std::span<iovec> vectors) const {
  if (!is_socket_) {
    return ::writev(socket_.get(), vectors.data(), static_cast<int>(vectors.size()));
  }
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = vectors.size();
  return ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool CommandConnection::respond(const Command& command, std::span<const std::byte> response) {
  std::array<std::byte, sizeof(std::uint32_t)> length{};
  store_big_endian(std::span<std::byte>(length), 0, static_cast<std::uint32_t>(response.size()));
  std::array<std::byte, sizeof(std::uint32_t)> acknowledgement{};
  const std::size_t extra_bytes = command.with_head ? length.size() : 0;
  std::array<std::span<const std::byte>, 3> parts = {
      std::span<const std::byte>(length).first(extra_bytes), response,
      std::span<const std::byte>(acknowledgement).first(extra_bytes)};

  std::array<iovec, 3> vectors{};
  std::transform(parts.begin(), parts.end(), vectors.begin(), [](std::span<const std::byte> part) {
    return iovec{const_cast<std::byte*>(part.data()), part.size()};
  });
  const ssize_t result = is_socket_ || command.with_head
                             ? send_together(vectors)
                             : ::write(socket_.get(), response.data(), response.size());
  if (result < 0 && errno != EAGAIN && errno != EINTR) {
    return false;
  }
  stay_active();
  auto sent = static_cast<std::size_t>(std::max<ssize_t>(result, 0));
  for (const auto part : parts) {
    const std::size_t taken = std::min(sent, part.size());
    sent -= taken;
    outbox_.insert(outbox_.end(), part.begin() + static_cast<std::ptrdiff_t>(taken), part.end());
  }
  return true;
}

CommandConnection::Rest CommandConnection::rest(bool waits) const {
  Rest rest{.unread = {}, .discard_bytes = waits ? 0 : discard_bytes_, .unsent = outbox_};
  const auto last = std::span(inbox_).subspan(last_begin_, waits ? last_size_bytes_ : 0);
  rest.unread.assign(last.begin(), last.end());
  const auto arrived = std::span(inbox_).subspan(begin_, end_ - begin_);
  rest.unread.insert(rest.unread.end(), arrived.begin(), arrived.end());
  return rest;
}

Status CommandConnection::go_on(const Rest& rest) {
  if (rest.unread.size() > inbox_.size() || rest.unsent.size() > unsent_max_bytes) {
    return Error(ErrorKind::invalid_argument,
                 "a TPM's client has sent more, or has more to get, than fits a command");
  }
  std::ranges::copy(rest.unread, inbox_.begin());
  end_ = rest.unread.size();
  discard_bytes_ = rest.discard_bytes;
  outbox_ = rest.unsent;
  return {};
}

bool CommandConnection::flush() {
  const ssize_t sent = is_socket_ ? ::send(socket_.get(), outbox_.data(), outbox_.size(),
                                           MSG_DONTWAIT | MSG_NOSIGNAL)
                                  : ::write(socket_.get(), outbox_.data(), outbox_.size());
  if (sent < 0) {
    return errno == EAGAIN || errno == EINTR;
  }
  stay_active();
  outbox_.erase(outbox_.begin(), outbox_.begin() + sent);
  return true;
}

} // namespace vnvram
