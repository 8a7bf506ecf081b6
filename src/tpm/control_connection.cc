#include "tpm/control_connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

namespace vnvram {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t receive_max_bytes = 16384;

} // namespace

ControlConnection::ControlConnection(UniqueFd socket, ControlClient client)
    : socket_(std::move(socket)), client_(std::move(client)) {}

short ControlConnection::poll_events() const {
  return static_cast<short>(outbox_.empty() ? POLLIN : POLLOUT);
}

bool ControlConnection::is_unfinished() const {
  if (!outbox_.empty()) {
    return false; // What it has asked beyond that waits until it has read the answer.
  }
  const std::size_t idle_bytes = padding_possible_ ? control_padding_max_bytes : 0;
  return in_body_ || inbox_.size() > idle_bytes;
}

Status ControlConnection::go_on(Rest rest) {
  padding_possible_ = rest.padding_possible;
  inbox_ = std::move(rest.unread);
  return is_unfinished() ? Error(ErrorKind::invalid_argument,
                                 "a control client has more under way than it can have")
                         : Status();
}

bool ControlConnection::advance(ControlService& service) {
  if (outbox_.empty() ? !receive() : !send()) {
    return false;
  }
  // One answer at a time: what a client has asked beyond it waits until it has read that.
  while (outbox_.empty() && process(service)) {
    if (!outbox_.empty() && !send()) {
      return false;
    }
  }
  return true;
}

bool ControlConnection::receive() {
  const std::size_t before = inbox_.size();
  inbox_.resize(before + receive_max_bytes);
  iovec vector{inbox_.data() + before, receive_max_bytes};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(4 * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t received = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  inbox_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(received, 0)));
  if (received < 0) {
    return errno == EAGAIN || errno == EINTR;
  }
  take_passed_fd(message);
  last_active_ = Clock::now();
  return received > 0;
}

void ControlConnection::take_passed_fd(const msghdr& message) {
  // CMSG_NXTHDR takes a pointer to non-const without changing anything.
  auto* mutable_message = const_cast<msghdr*>(&message);
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(mutable_message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t index = 0; index < count; ++index) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + index * sizeof(int), sizeof(fd));
      passed_.reset(fd); // The last one counts, the others are closed.
    }
  }
}

bool ControlConnection::send() {
  const auto rest = std::span<const std::byte>(outbox_).subspan(sent_bytes_);
  const ssize_t sent = ::send(socket_.get(), rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) {
    return errno == EAGAIN || errno == EINTR;
  }
  last_active_ = Clock::now();
  sent_bytes_ += static_cast<std::size_t>(sent);
  if (sent_bytes_ == outbox_.size()) {
    outbox_ = Bytes(); // Which gives it back, as {} would not. A state blob is large, and the
                       // memory is not needed again soon.
    sent_bytes_ = 0;
  }
  return true;
}

bool ControlConnection::process(ControlService& service) {
  const bool advanced = in_body_ ? process_body(service) : process_head(service);
  if (inbox_.empty()) {
    inbox_ = Bytes();
  }
  return advanced;
}

void ControlConnection::take_from_inbox(std::size_t length_bytes) {
  inbox_.erase(inbox_.begin(), inbox_.begin() + static_cast<std::ptrdiff_t>(length_bytes));
}

bool ControlConnection::process_head(ControlService& service) {
  if (inbox_.size() < sizeof(std::uint32_t)) {
    return false;
  }
  if (std::exchange(padding_possible_, false)) {
    take_from_inbox(control_padding_bytes(inbox_));
  }
  ControlRequest request;
  switch (parse_control_request(inbox_, request)) {
  case ControlParse::incomplete: return false;
  case ControlParse::unknown:
    inbox_.clear();
    outbox_ = encode_bare_result(tpm_bad_ordinal);
    return true;
  case ControlParse::complete: break;
  }
  take_from_inbox(request.head_size_bytes);
  padding_possible_ = may_be_padded(request.command);
  if (request.command == ControlCommand::set_state_blob ||
      request.command == ControlCommand::hash_data) {
    request_ = request;
    in_body_ = true;
    body_missing_bytes_ = request.length_bytes;
    body_result_ = service.check_body(client_, request);
    return true;
  }
  outbox_ = service.handle(client_, request, std::exchange(passed_, UniqueFd()));
  return true;
}

bool ControlConnection::process_body(ControlService& service) {
  const auto taken =
      static_cast<std::size_t>(std::min<std::uint64_t>(body_missing_bytes_, inbox_.size()));
  const auto piece = std::span<const std::byte>(inbox_).first(taken);
  if (body_result_ == tpm_success && taken > 0) {
    if (request_.command == ControlCommand::hash_data) {
      body_result_ = service.hash_piece(piece);
    } else {
      body_.reserve(request_.length_bytes);
      body_.insert(body_.end(), piece.begin(), piece.end());
    }
  }
  take_from_inbox(taken);
  body_missing_bytes_ -= taken;
  if (body_missing_bytes_ > 0) {
    return false;
  }
  finish_body(service);
  return true;
}

void ControlConnection::finish_body(ControlService& service) {
  const auto body = std::exchange(body_, {});
  if (body_result_ == tpm_success && request_.command == ControlCommand::set_state_blob) {
    // What was allowed at the head may not be any more: another client may have started the TPM.
    body_result_ = service.check_body(client_, request_);
    if (body_result_ == tpm_success) {
      body_result_ = service.set_state(request_, body);
    }
  }
  outbox_ = encode_result(request_.command, body_result_);
  in_body_ = false;
}

} // namespace vnvram
