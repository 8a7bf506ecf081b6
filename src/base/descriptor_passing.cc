#include "base/descriptor_passing.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace vnvram {
namespace {

Error channel_error(int number) {
  return {ErrorKind::io,
          "a message could not be passed on: " + std::system_category().message(number)};
}

Status send(int channel, const msghdr& message) {
  const std::size_t size_bytes = message.msg_iov->iov_len;
  if (size_bytes == 0 || size_bytes > passed_text_max_bytes) {
    return Error(ErrorKind::too_large, "a message that is passed on has 1 to 16384 bytes of text");
  }
  return ::sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0
             ? Status(channel_error(errno))
             : Status();
}

// False, and all are closed: there are more than one.
bool take_rights(const cmsghdr* header, UniqueFd& taken) {
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
    return true;
  }
  const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (std::size_t index = 0; index < count; ++index) {
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(header) + index * sizeof(int), sizeof(descriptor));
    taken.reset(descriptor);
  }
  if (count > 1) {
    taken.reset();
  }
  return count <= 1;
}

} // namespace

Status pass_text(int channel, std::string_view text) {
  iovec part{.iov_base = const_cast<char*>(text.data()), .iov_len = text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  return send(channel, message);
}

Status pass_descriptor(int channel, std::string_view text, int descriptor) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  iovec part{.iov_base = const_cast<char*>(text.data()), .iov_len = text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof(descriptor));
  return send(channel, message);
}

Result<std::optional<PassedDescriptor>> take_descriptor(int channel) {
  std::string text(passed_text_max_bytes, '\0');
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  iovec part{.iov_base = text.data(), .iov_len = text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(channel, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (size < 0) {
    return errno == EAGAIN || errno == EINTR ? Result<std::optional<PassedDescriptor>>(std::nullopt)
                                             : channel_error(errno);
  }
  PassedDescriptor passed;
  const bool has_one_at_most = take_rights(CMSG_FIRSTHDR(&message), passed.descriptor);
  if (size == 0) {
    return Error(ErrorKind::absent, "the other end has gone");
  }
  if (!has_one_at_most || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return Error(ErrorKind::io,
                 "a message came with too much text, or with more than one descriptor");
  }
  text.resize(static_cast<std::size_t>(size));
  passed.text = std::move(text);
  return std::optional<PassedDescriptor>(std::move(passed));
}

} // namespace vnvram
