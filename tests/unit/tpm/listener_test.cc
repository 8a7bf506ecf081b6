// A unix socket's name: when it is there, whose it is, and what is left of it.
#include "service/listener.h"

#include <array>
#include <filesystem>
#include <set>
#include <string>

#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/expect_status.h"
#include "support/temporary_directory.h"

namespace vnvram::test {
namespace {

class ListenerTest : public testing::Test {
protected:
  [[nodiscard]] SocketAddress address(const std::string& name = "c.sock") const {
    SocketAddress made;
    made.path = folder_.path(name);
    return made;
  }
  [[nodiscard]] std::set<std::string> names() const {
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path(""))) {
      found.insert(entry.path().filename().string());
    }
    return found;
  }
  /// A socket file that nobody listens on.
  void leave_socket(const std::string& name) const {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un there{};
    there.sun_family = AF_UNIX;
    const std::string path = folder_.path(name);
    ASSERT_LT(path.size(), sizeof(there.sun_path));
    path.copy(there.sun_path, sizeof(there.sun_path) - 1);
    ASSERT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&there), sizeof(there)), 0);
  }

  const TemporaryDirectory folder_{std::filesystem::temp_directory_path()};
};

/// What happened to this name, in the order of it.
std::uint32_t events_of(int inotify, const std::string& name) {
  alignas(inotify_event) std::array<char, 8192> bytes{};
  const ssize_t length = ::read(inotify, bytes.data(), bytes.size());
  std::uint32_t mask = 0;
  for (ssize_t at = 0; at < length;) {
    const auto* event = reinterpret_cast<const inotify_event*>(&bytes[static_cast<size_t>(at)]);
    mask |= std::string(event->name) == name ? event->mask : 0U;
    at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
  }
  return mask;
}

TEST_F(ListenerTest, ItsNameComesWhenItListens) {
  const UniqueFd inotify(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  ASSERT_GE(::inotify_add_watch(inotify.get(), folder_.path("").c_str(),
                                IN_CREATE | IN_MOVED_TO | IN_ATTRIB),
            0);
  const auto listener = Listener::open(address(), {.mode = 0604});
  ASSERT_OK(listener);
  EXPECT_EQ(events_of(inotify.get(), "c.sock"), std::uint32_t{IN_MOVED_TO});
  struct stat status {};
  ASSERT_EQ(::stat(address().path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0604U);
  EXPECT_EQ(names(), std::set<std::string>{"c.sock"});
}

TEST_F(ListenerTest, ItsNameGoesWithIt) {
  { ASSERT_OK(Listener::open(address(), {})); }
  EXPECT_EQ(names(), std::set<std::string>());
}

TEST_F(ListenerTest, WhatTheKilledHaveLeftGoes) {
  leave_socket("c.sock");
  leave_socket(".new-aB3dEf-c.sock");
  leave_socket(".new-aB3dEf-other.sock");
  leave_socket(".new-longer-by-c.sock");
  const auto listener = Listener::open(address(), {});
  ASSERT_OK(listener);
  EXPECT_EQ(names(),
            (std::set<std::string>{"c.sock", ".new-aB3dEf-other.sock", ".new-longer-by-c.sock"}));
}

TEST_F(ListenerTest, OneThatIsServedIsNotTaken) {
  const auto listener = Listener::open(address(), {});
  ASSERT_OK(listener);
  EXPECT_KIND(Listener::open(address(), {}), in_use);
  EXPECT_EQ(names(), std::set<std::string>{"c.sock"});
}

TEST_F(ListenerTest, ANameThatIsAsLongAsCanBe) {
  const std::size_t folder_length = folder_.path("").size();
  const std::string name(sizeof(sockaddr_un::sun_path) - 1 - folder_length, 'n');
  const auto listener = Listener::open(address(name), {});
  ASSERT_OK(listener);
  EXPECT_EQ(names(), std::set<std::string>{name});
}

} // namespace
} // namespace vnvram::test
