#include "swtpm/program_sockets.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

namespace vnvram {
namespace {

// Of the first client, which is there already; those that come are numbered from 1.
constexpr std::uint64_t open_client_number = 1;

/// What one channel is: a socket that clients come by, or a client.
struct Channel {
  std::optional<Listener> listener;
  UniqueFd client;
  std::optional<UnblockedDevice> device; ///< The client, if the caller has it open, too.
};

class ChannelOpener {
public:
  Result<Channel> operator()(const UnixSocketPlace& place) const {
    std::error_code failed;
    const std::filesystem::path path = std::filesystem::absolute(place.path, failed);
    SocketAddress address;
    address.kind = SocketAddress::Kind::unix_path;
    address.path = failed ? place.path : path.string();
    return listen(address, {.mode = place.mode, .group = place.group, .user = place.user});
  }
  Result<Channel> operator()(const TcpPlace& place) const {
    SocketAddress address;
    address.kind = SocketAddress::Kind::tcp;
    address.host = place.address;
    address.interface_name = place.interface_name;
    address.port = place.port;
    return listen(address, {});
  }
  Result<Channel> operator()(const ListeningDescriptor& place) const {
    SocketAddress address;
    address.kind = SocketAddress::Kind::descriptor;
    address.descriptor = place.descriptor;
    return listen(address, {});
  }
  Result<Channel> operator()(const OpenDescriptor& place) const {
    Channel channel;
    channel.client = UniqueFd(::fcntl(place.descriptor, F_DUPFD_CLOEXEC, 3));
    if (channel.client.valid()) {
      if (auto unblocked = UnblockedDevice::make(channel.client)) {
        channel.device.emplace(*std::move(unblocked));
      }
    }
    if (!channel.device) {
      return Error(ErrorKind::io, "cannot take over descriptor " +
                                      std::to_string(place.descriptor) + ": " +
                                      std::system_category().message(errno));
    }
    return channel;
  }
  Result<Channel> operator()(const CharacterDevice& place) const {
    Channel channel;
    channel.client =
        UniqueFd(::open(place.path.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!channel.client.valid()) {
      return Error(ErrorKind::io,
                   "Cannot open " + place.path + ": " + std::system_category().message(errno));
    }
    struct stat status {};
    if (::fstat(channel.client.get(), &status) != 0 || !S_ISCHR(status.st_mode)) {
      return Error(ErrorKind::invalid_argument, place.path + ": it is no character device");
    }
    return channel;
  }
  Result<Channel> operator()(const VtpmProxy& /*place*/) const {
    return Error(ErrorKind::unsupported, "--vtpm-proxy: the kernel's vTPM proxy is not served",
                 "swtpm socket serves QEMU");
  }

private:
  static Result<Channel> listen(const SocketAddress& address, const SocketAccess& access) {
    Result<Listener> listener = Listener::open(address, access);
    if (!listener.ok()) {
      return listener.error();
    }
    Channel channel;
    channel.listener.emplace(*std::move(listener));
    return channel;
  }
};

} // namespace

Result<ProgramSockets> ProgramSockets::open(const SwtpmOptions& options) {
  ProgramSockets sockets;
  if (options.control) {
    Result<Channel> opened = std::visit(ChannelOpener(), options.control->place);
    if (!opened.ok()) {
      return opened.error();
    }
    if (opened->listener) {
      sockets.control_.emplace(*std::move(opened->listener));
    }
    sockets.control_client_ = std::move(opened->client);
  }
  if (options.data) {
    sockets.one_command_each_ = options.data->disconnects;
    Result<Channel> opened = std::visit(ChannelOpener(), options.data->place);
    if (!opened.ok()) {
      return opened.error();
    }
    if (opened->listener) {
      sockets.data_.emplace(*std::move(opened->listener));
    }
    sockets.data_client_ = std::move(opened->client);
    if (opened->device) {
      sockets.data_device_.emplace(*std::move(opened->device));
    }
  }
  return sockets;
}

Status ProgramSockets::serve(ControlServer& server, TpmWorker& worker) {
  if (control_) {
    server.add_listener(*control_, CommandSource::vm, ControlServer::Trust::all);
  }
  if (control_client_.valid()) {
    ControlClient client;
    client.number = open_client_number;
    server.set_next_client_number(open_client_number + 1);
    if (Status taken = server.go_on_with(std::move(control_client_), std::move(client), {});
        !taken.ok()) {
      return taken;
    }
  }
  if (data_client_.valid()) {
    worker.set_vm_socket(std::move(data_client_));
  }
  worker.serve(data_ ? &*data_ : nullptr,
               {.source = CommandSource::vm, .one_command_each = one_command_each_});
  return {};
}

} // namespace vnvram
