// RemoteBlobClient on the socket of an owner in this process.
#include "base/system_clock.h"
#include "rpc/remote_blob_client.h"
#include "rpc/socket_connection.h"
#include "serve/owner_server.h"
#include "support/temporary_directory.h"
#include "unit/client/local_blob_host.h"

namespace vnvram::test {
namespace {

class RemoteBlobHost final : public LocalBlobHost {
public:
  RemoteBlobHost(const std::vector<BlobSpec>& blobs, std::chrono::microseconds deferral,
                 bool lasting)
      : LocalBlobHost(blobs, deferral), lasting_(lasting), socket_path_(folder_.path("control")),
        listener_(*Listener::open(*parse_socket_address("unix:" + socket_path_), {})),
        server_(*OwnerServer::start({.keeper = keeper(),
                                     .location = "disk",
                                     .listener = listener_,
                                     .limits = {},
                                     .clock = clock_,
                                     .log = log_})) {}

  std::unique_ptr<BlobClient> connect() override {
    auto client = lasting_
                      ? RemoteBlobClient::connect(
                            {.connect = [this] { return connect_to_socket(socket_path_, ""); }})
                      : RemoteBlobClient::connect(*connect_to_socket(socket_path_, ""));
    EXPECT_TRUE(client.ok()) << client.error().text();
    return *std::move(client);
  }
  [[nodiscard]] bool gives_rights_to_one() const override { return true; }

private:
  const bool lasting_;
  TemporaryDirectory folder_{"/tmp"}; // A socket's path is short.
  std::string socket_path_;
  Log log_{"test", LogLevel::error};
  SystemClock clock_;
  Listener listener_;
  std::unique_ptr<OwnerServer> server_;
};

} // namespace

std::unique_ptr<BlobHost> make_remote_blob_host(const std::vector<BlobSpec>& blobs,
                                                std::chrono::microseconds deferral) {
  return std::make_unique<RemoteBlobHost>(blobs, deferral, false);
}

std::unique_ptr<BlobHost> make_lasting_blob_host(const std::vector<BlobSpec>& blobs,
                                                 std::chrono::microseconds deferral) {
  return std::make_unique<RemoteBlobHost>(blobs, deferral, true);
}

} // namespace vnvram::test
