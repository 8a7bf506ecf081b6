// A unix socket's name: when it is there, whose it is, and what is left of it.
#include "service/listener.h"

#include <array>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "support/expect_status.h"
#include "support/temporary_directory.h"

namespace vnvram::test {
namespace {

/// What somebody else does just behind a call of the listener's: files only, since the listener may
/// have the call made by a child.
std::function<void()> behind_bind;
std::function<void()> behind_connect;
std::function<void()> behind_listen;
bool denies_other_names = false; ///< As a profile of AppArmor's may.

int with(std::function<void()>& behind, int result) {
  const int number = errno;
  if (const auto act = std::exchange(behind, nullptr)) {
    act();
  }
  errno = number;
  return result;
}

} // namespace
} // namespace vnvram::test

// In place of the C library's, for all of this program.
extern "C" int bind(int fd, const sockaddr* address, socklen_t size_bytes) noexcept {
  const auto* name = reinterpret_cast<const sockaddr_un*>(address);
  if (vnvram::test::denies_other_names && address->sa_family == AF_UNIX &&
      std::string_view(name->sun_path).find(".new-") != std::string_view::npos) {
    errno = EACCES;
    return -1;
  }
  return vnvram::test::with(vnvram::test::behind_bind,
                            static_cast<int>(::syscall(SYS_bind, fd, address, size_bytes)));
}
extern "C" int connect(int fd, const sockaddr* address, socklen_t size_bytes) {
  return vnvram::test::with(vnvram::test::behind_connect,
                            static_cast<int>(::syscall(SYS_connect, fd, address, size_bytes)));
}
extern "C" int listen(int fd, int backlog) noexcept {
  return vnvram::test::with(vnvram::test::behind_listen,
                            static_cast<int>(::syscall(SYS_listen, fd, backlog)));
}

namespace vnvram::test {
namespace {

class ListenerTest : public testing::Test {
protected:
  void TearDown() override {
    behind_bind = nullptr;
    behind_connect = nullptr;
    behind_listen = nullptr;
    denies_other_names = false;
  }
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
  [[nodiscard]] struct stat look_at(const std::string& name) const {
    struct stat status {};
    EXPECT_EQ(::lstat(folder_.path(name).c_str(), &status), 0) << name;
    return status;
  }
  /// Whatever a socket is bound by until it has its name.
  void remove_begun() const {
    for (const std::string& name : names()) {
      if (name.starts_with(".new-")) {
        std::filesystem::remove(folder_.path(name));
        begun_ = name;
      }
    }
  }
  /// A socket file; nobody listens on it, but by what is returned.
  UniqueFd leave_socket(const std::string& name, std::time_t age_seconds = 0) const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un there{};
    there.sun_family = AF_UNIX;
    const std::string path = folder_.path(name);
    EXPECT_LT(path.size(), sizeof(there.sun_path));
    path.copy(there.sun_path, sizeof(there.sun_path) - 1);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&there), sizeof(there)), 0);
    const timespec then{.tv_sec = std::time(nullptr) - age_seconds, .tv_nsec = 0};
    const std::array<timespec, 2> times{then, then};
    EXPECT_EQ(::utimensat(AT_FDCWD, path.c_str(), times.data(), 0), 0);
    return fd;
  }

  const TemporaryDirectory folder_{std::filesystem::temp_directory_path()};
  mutable std::string begun_;
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
  constexpr std::time_t hour_seconds = 3600;
  leave_socket("c.sock");
  leave_socket(".new-aB3dEf-c.sock", hour_seconds);
  leave_socket(".new-aB3dEf-1-c.sock", hour_seconds);
  leave_socket("new-aB3dEf-c.sock", hour_seconds);
  leave_socket(".new-longer-by", hour_seconds);
  leave_socket(".new-longest-by-c.sock", hour_seconds);
  const auto listener = Listener::open(address(), {});
  ASSERT_OK(listener);
  EXPECT_EQ(names(),
            (std::set<std::string>{"c.sock", "new-aB3dEf-c.sock", ".new-longest-by-c.sock"}));
}

TEST_F(ListenerTest, WhatIsOthersStays) {
  constexpr std::time_t hour_seconds = 3600;
  const UniqueFd other = leave_socket(".new-foobar-c.sock", hour_seconds);
  ASSERT_EQ(::listen(other.get(), 1), 0);
  leave_socket(".new-aB3dEf-c.sock"); // Of one that is about to listen.
  const auto listener = Listener::open(address(), {});
  ASSERT_OK(listener);
  EXPECT_EQ(names(), (std::set<std::string>{"c.sock", ".new-aB3dEf-c.sock", ".new-foobar-c.sock"}));
}

// A link there would have its target's mode and owner changed.
TEST_F(ListenerTest, WhatIsPutInItsPlaceKeepsItsMode) {
  std::ofstream(folder_.path("victim")) << "secret";
  std::filesystem::permissions(folder_.path("victim"), std::filesystem::perms::owner_read);
  for (const bool by_link : {true, false}) {
    behind_bind = [this, by_link] {
      remove_begun();
      by_link ? std::filesystem::create_symlink("victim", folder_.path(begun_))
              : std::filesystem::rename(folder_.path("victim"), folder_.path(begun_));
    };
    EXPECT_KIND(Listener::open(address(), {.mode = 0666, .group = ::getgid()}), in_use);
    if (by_link) {
      EXPECT_EQ(look_at("victim").st_mode & 0777U, 0400U);
    }
  }
  ASSERT_EQ(names().count("victim"), 0U);
  for (const std::string& name : names()) {
    EXPECT_TRUE(S_ISLNK(look_at(name).st_mode) || (look_at(name).st_mode & 0777U) == 0400U);
  }
}

TEST_F(ListenerTest, WhoseNameIsTakenMeanwhileSaysSo) {
  behind_bind = [this] { remove_begun(); };
  EXPECT_KIND(Listener::open(address(), {}), in_use);
  behind_listen = [this] { remove_begun(); };
  EXPECT_KIND(Listener::open(address(), {}), in_use);
  behind_bind = [this] { std::ofstream(folder_.path("c.sock")) << "somebody's"; };
  EXPECT_KIND(Listener::open(address(), {}), in_use);
  EXPECT_EQ(names(), std::set<std::string>{"c.sock"});
}

TEST_F(ListenerTest, WhatHasItsNameIsItself) {
  behind_listen = [this] {
    remove_begun();
    std::ofstream(folder_.path(begun_)) << "somebody's";
  };
  EXPECT_KIND(Listener::open(address(), {}), in_use);
}

TEST_F(ListenerTest, OneThatComesToLifeIsNotTaken) {
  leave_socket("c.sock");
  const UniqueFd other = leave_socket("other.sock");
  ASSERT_EQ(::listen(other.get(), 1), 0);
  const ino_t inode = look_at("other.sock").st_ino;
  behind_connect = [this] {
    std::filesystem::rename(folder_.path("other.sock"), folder_.path("c.sock"));
  };
  EXPECT_KIND(Listener::open(address(), {}), in_use);
  EXPECT_EQ(look_at("c.sock").st_ino, inode);
  EXPECT_EQ(names(), std::set<std::string>{"c.sock"});
}

TEST_F(ListenerTest, WhereNoOtherNameIsAllowed) {
  leave_socket("c.sock");
  denies_other_names = true;
  const auto listener = Listener::open(address(), {.mode = 0604});
  ASSERT_OK(listener);
  EXPECT_EQ(look_at("c.sock").st_mode & 0777U, 0604U);
  EXPECT_EQ(names(), std::set<std::string>{"c.sock"});
}

TEST_F(ListenerTest, AFoldersDefaultAccessIsNotItsOwn) {
  // User and group as they like, others nothing: version 2, and then tag, permissions and no name.
  constexpr std::string_view access("\2\0\0\0"
                                    "\1\0\7\0\377\377\377\377"
                                    "\4\0\5\0\377\377\377\377"
                                    "\40\0\0\0\377\377\377\377",
                                    28);
  if (::setxattr(folder_.path("").c_str(), "system.posix_acl_default", access.data(), access.size(),
                 0) != 0) {
    // A file system without them gives no socket any other rights than those that were asked for.
    GTEST_SKIP() << "no access control lists here";
  }
  const auto listener = Listener::open(address(), {.mode = 0666});
  ASSERT_OK(listener);
  EXPECT_EQ(look_at("c.sock").st_mode & 0777U, 0666U);
}

TEST_F(ListenerTest, AFolderIsNoName) {
  EXPECT_KIND(Listener::open(address(""), {}), invalid_argument);
  EXPECT_KIND(Listener::open(address(std::string(200, 'n')), {}), invalid_argument);
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
  const UniqueFd inotify(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  ASSERT_GE(::inotify_add_watch(inotify.get(), folder_.path("").c_str(), IN_CREATE | IN_MOVED_TO),
            0);
  const auto listener = Listener::open(address(name), {});
  ASSERT_OK(listener);
  EXPECT_EQ(events_of(inotify.get(), name), std::uint32_t{IN_MOVED_TO});
  EXPECT_EQ(names(), std::set<std::string>{name});
}

} // namespace
} // namespace vnvram::test
