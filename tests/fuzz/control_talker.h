// A client of the control channel, for fuzzers: bytes and descriptors as QEMU may send them.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "fuzz/require.h"
#include "tpm/control_connection.h"
#include "tpm/control_service.h"

namespace vnvram::fuzz {

inline std::pair<UniqueFd, UniqueFd> socket_pair() {
  std::array<int, 2> fds{};
  require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0,
          "there are descriptors left");
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

/// Of the control channel. It talks, and its connection is served, on one thread.
class ControlTalker {
public:
  ControlTalker(std::uint64_t number, CommandSource source, bool over_network)
      : ControlTalker(socket_pair(), {.number = number,
                                      .source = source,
                                      .over_network = over_network,
                                      .blob_type = {},
                                      .blob = {}}) {}

  [[nodiscard]] const ControlClient& identity() const { return connection_.client(); }

  /// Sends it, with a descriptor if there is one, and has it served. The replies.
  std::vector<std::byte> talk(ControlService& service, std::span<const std::byte> bytes,
                              int fd = -1) {
    if (bytes.empty()) {
      return {};
    }
    send(bytes, fd);
    std::vector<std::byte> replies;
    do {
      if (has_work()) {
        require(connection_.advance(service), "a client that is there stays");
      }
      receive(replies);
    } while (has_work());
    return replies;
  }

private:
  ControlTalker(std::pair<UniqueFd, UniqueFd> sockets, ControlClient identity)
      : ours_(std::move(sockets.first)),
        connection_(std::move(sockets.second), std::move(identity)) {}

  void send(std::span<const std::byte> bytes, int fd) {
    // sendmsg() changes nothing.
    iovec vector{const_cast<std::byte*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    if (fd >= 0) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    }
    require(::sendmsg(ours_.get(), &message, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()),
            "a short message fits a socket");
  }

  void receive(std::vector<std::byte>& replies) {
    std::array<std::byte, 65536> buffer{};
    ssize_t received = 0;
    while ((received = ::recv(ours_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0) {
      replies.insert(replies.end(), buffer.begin(), buffer.begin() + received);
    }
  }

  [[nodiscard]] bool has_work() const {
    pollfd entry{.fd = connection_.fd(), .events = connection_.poll_events(), .revents = 0};
    return ::poll(&entry, 1, 0) > 0;
  }

  UniqueFd ours_;
  ControlConnection connection_;
};

} // namespace vnvram::fuzz
