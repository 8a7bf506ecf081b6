#include "device/qemu_nbd_server.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <system_error>
#include <vector>

#include <fmt/core.h>

#include "base/work_folder.h"
#include "device/qemu_error.h"
#include "device/qemu_options.h"

namespace vnvram {
namespace {

constexpr std::chrono::seconds time_to_end{10};

/// A connection, and the socket that whoever gets it can accept it from.
struct ConnectionToCome {
  UniqueFd listening;
  UniqueFd connection;
};

/// Both ends of a connection over a socket whose name nobody else had a chance to use.
bool connect_in(const std::string& folder, ConnectionToCome& result) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = folder + "/socket";
  if (path.size() >= sizeof(address.sun_path)) {
    errno = ENAMETOOLONG;
    return false;
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const auto* name = reinterpret_cast<const sockaddr*>(&address);
  result.listening = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  result.connection = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const bool connected = result.listening.valid() && result.connection.valid() &&
                         ::bind(result.listening.get(), name, sizeof(address)) == 0 &&
                         ::listen(result.listening.get(), 1) == 0 &&
                         ::connect(result.connection.get(), name, sizeof(address)) == 0;
  return connected;
}

Result<ConnectionToCome> prepare_connection() {
  std::vector<std::string> parents;
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  if (const char* run_time = std::getenv("XDG_RUNTIME_DIR"); run_time != nullptr) {
    parents.emplace_back(run_time);
  }
  parents.insert(parents.end(), {"/tmp", "/run", "/dev/shm"});
  int error = 0;
  for (const std::string& parent : parents) {
    const std::optional<WorkFolder> folder = WorkFolder::make(parent + "/vnvram-socket-");
    if (!folder) {
      error = errno;
      continue;
    }
    ConnectionToCome result;
    const bool connected = connect_in(folder->path(), result);
    error = errno;
    if (connected) {
      return result;
    }
  }
  return Error(ErrorKind::io,
               "cannot make a socket for qemu-nbd: " + std::generic_category().message(error));
}

std::vector<std::string> command_line(const std::string& program, const QemuFile& file,
                                      const ImageContainer& image, Access access,
                                      const DeviceOptions& options) {
  // What comes must reach the file as it comes: no hole where a commit would have to allocate.
  std::vector<std::string> arguments = {program, "--shared=1", "--discard=ignore",
                                        "--detect-zeroes=off"};
  // The cache of a block device may hide what another owner has written by another one, see
  // hidden_writes.h; on a network file system QEMU's locks keep that out.
  arguments.emplace_back(file.is_block_device() ? "--cache=none" : "--cache=writeback");
  if (access == Access::read_only) {
    arguments.emplace_back("--read-only");
  }
  if (image.encrypted) {
    arguments.insert(arguments.end(), {"--object", qemu_secret_option(options.image_key_file)});
  }
  arguments.insert(arguments.end(), {"--image-opts", qemu_image_options(file, image)});
  return arguments;
}

} // namespace

Result<std::unique_ptr<QemuNbdServer>> QemuNbdServer::start(const QemuFile& file,
                                                            const ImageContainer& image,
                                                            Access access,
                                                            const DeviceOptions& options) {
  const Result<std::string> program = BoundChild::find("qemu-nbd");
  if (!program) {
    return Error(program.error().kind(),
                 fmt::format("{}: a {} image, and {}", file.name(), image_format_name(image.format),
                             program.error().cause()),
                 program.error().remedy());
  }
  Result<ConnectionToCome> prepared = prepare_connection();
  if (!prepared) {
    return prepared.error();
  }
  Result<BoundChild> child =
      BoundChild::start(command_line(*program, file, image, access, options),
                        prepared->listening.get(), -1, -1, file.working_folder());
  // With ours closed, its end is the connection's end.
  prepared->listening.reset();
  if (!child) {
    return child.error();
  }
  std::unique_ptr<QemuNbdServer> server(
      new QemuNbdServer(file, std::move(*child), std::move(prepared->connection)));
  if (server->wait_until_serving(options.timeout)) {
    return server;
  }
  const bool ended = server->child_.wait(std::chrono::milliseconds(0)).has_value();
  if (!ended) {
    server->child_.kill();
    return Error(ErrorKind::io,
                 fmt::format("{}: qemu-nbd has not opened it after {:g} s", file.name(),
                             std::chrono::duration<double>(options.timeout).count()));
  }
  return qemu_error("qemu-nbd", file.name(), access, server->said());
}

bool QemuNbdServer::wait_until_serving(std::chrono::milliseconds time_limit) {
  // The server speaks first. What it says stays to be read.
  struct pollfd greeting = {.fd = connection_.get(), .events = POLLIN, .revents = 0};
  using Clock = std::chrono::steady_clock;
  const Clock::time_point deadline = Clock::now() + time_limit;
  int ready = 0;
  do {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    ready = ::poll(&greeting, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
  } while (ready < 0 && errno == EINTR);
  char first = 0;
  if (ready == 1 && ::recv(connection_.get(), &first, 1, MSG_PEEK | MSG_DONTWAIT) == 1) {
    return true;
  }
  if (ready == 1) {
    (void)child_.wait(std::chrono::duration_cast<std::chrono::milliseconds>(time_to_end));
  }
  return false;
}

QemuNbdServer::~QemuNbdServer() {
  connection_.reset();
  (void)child_.wait(time_to_end);
}

std::string QemuNbdServer::said() {
  return file_.renamed_in(child_.said());
}

} // namespace vnvram
