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
          "a descriptor could not be passed on: " + std::system_category().message(number)};
}

} // namespace

Status pass_descriptor(int channel, std::string_view text, int descriptor) {
  if (text.empty() || text.size() > passed_text_max_bytes) {
    return Error(ErrorKind::too_large, "a descriptor is passed on with 1 to 16384 bytes of text");
  }
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
  return ::sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0
             ? Status(channel_error(errno))
             : Status();
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
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  PassedDescriptor passed;
  if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
      header->cmsg_len == CMSG_LEN(sizeof(int))) {
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(header), sizeof(descriptor));
    passed.descriptor.reset(descriptor);
  }
  if (size == 0) {
    return Error(ErrorKind::io, "who passes descriptors on has gone");
  }
  if (!passed.descriptor.valid() || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return Error(ErrorKind::io, "a message came without its descriptor, or too long");
  }
  text.resize(static_cast<std::size_t>(size));
  passed.text = std::move(text);
  return std::optional<PassedDescriptor>(std::move(passed));
}

} // namespace vnvram
