// What a client says to the owner, as it passes by.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {

class Recorder {
public:
  explicit Recorder(UniqueFd owner) : owner_(std::move(owner)) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    client_ = UniqueFd(ends[0]);
    passage_ = UniqueFd(ends[1]);
    to_owner_ = std::thread([this] { pass_on(passage_, owner_, &said_); });
    from_owner_ = std::thread([this] { pass_on(owner_, passage_, nullptr); });
  }
  [[nodiscard]] UniqueFd take_client() { return std::move(client_); }
  /// When the client has gone.
  [[nodiscard]] Bytes said() {
    to_owner_.join();
    from_owner_.join();
    return said_;
  }

private:
  static void pass_on(const UniqueFd& from, const UniqueFd& to, Bytes* said) {
    Bytes buffer(4096);
    for (;;) {
      const std::ptrdiff_t count = ::recv(from.get(), buffer.data(), buffer.size(), 0);
      if (count <= 0) {
        break;
      }
      if (said != nullptr) {
        said->insert(said->end(), buffer.begin(), buffer.begin() + count);
      }
      (void)::send(to.get(), buffer.data(), static_cast<std::size_t>(count), MSG_NOSIGNAL);
    }
    ::shutdown(to.get(), SHUT_WR);
  }

  UniqueFd owner_;
  UniqueFd client_;
  UniqueFd passage_;
  Bytes said_;
  std::thread to_owner_;
  std::thread from_owner_;
};

} // namespace vnvram::test
