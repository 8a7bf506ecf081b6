#include "crash/served_store.h"

#include <utility>

#include "crash/crash_explorer.h"
#include "device/forwarding_device.h"
#include "rpc/socket_connection.h"
#include "service/socket_address.h"

namespace vnvram::test {
namespace {

/// One operation at a time, whichever thread asks for it.
class SerialDevice final : public ForwardingDevice {
public:
  SerialDevice(std::unique_ptr<BlockDevice> device, std::mutex& turn)
      : ForwardingDevice(*device), device_(std::move(device)), turn_(turn) {}

  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override {
    const std::lock_guard lock(turn_);
    return device_->read(offset_bytes, buffer);
  }
  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    const std::lock_guard lock(turn_);
    return device_->write(offset_bytes, data);
  }
  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override {
    const std::lock_guard lock(turn_);
    return device_->write_durable(offset_bytes, data);
  }
  Status flush() override {
    const std::lock_guard lock(turn_);
    return device_->flush();
  }
  Status resize(std::uint64_t size_bytes) override {
    const std::lock_guard lock(turn_);
    return device_->resize(size_bytes);
  }

private:
  std::unique_ptr<BlockDevice> device_;
  std::mutex& turn_;
};

OpenOptions store_options() {
  OpenOptions options = deterministic_options();
  options.idle_checkpoint_after = std::chrono::milliseconds(0);
  return options;
}

} // namespace

ServedStore::ServedStore(std::shared_ptr<SimulatedDisk> disk)
    : disk_(std::move(disk)), keeper_({.store = store_options()}) {}

ServedStore::~ServedStore() {
  (void)close();
}

Status ServedStore::open() {
  auto device = std::make_unique<SerialDevice>(std::make_unique<SimulatedDevice>(disk_), turn_);
  if (Status attached = keeper_.attach(std::move(device), {.location = "simulated disk"});
      !attached) {
    return attached;
  }
  if (!listener_) {
    Result<Listener> listener = Listener::open(*parse_socket_address("unix:" + path_), {});
    if (!listener) {
      return listener.error();
    }
    listener_.emplace(*std::move(listener));
  }
  auto server = OwnerServer::start({.keeper = keeper_,
                                    .location = "simulated disk",
                                    .listener = *listener_,
                                    .limits = {},
                                    .clock = clock_,
                                    .log = log_});
  if (!server) {
    return server.error();
  }
  server_ = *std::move(server);
  return {};
}

Status ServedStore::close() {
  server_.reset();
  return keeper_.detach();
}

Result<std::unique_ptr<RemoteBlobClient>> ServedStore::client() const {
  Result<UniqueFd> socket = connect_to_socket(path_, "");
  if (!socket) {
    return socket.error();
  }
  return RemoteBlobClient::connect(*std::move(socket));
}

Result<std::unique_ptr<OwnerClient>> ServedStore::operators() const {
  Result<UniqueFd> socket = connect_to_socket(path_, "");
  if (!socket) {
    return socket.error();
  }
  return OwnerClient::connect(*std::move(socket));
}

} // namespace vnvram::test
