#include "nbdkit/owner_connection.h"

#include <chrono>
#include <utility>

#include "rpc/owner_address.h"
#include "rpc/remote_blob_client.h"

namespace vnvram::nbdkit {
namespace {

// For the first one from who has started nbdkit.
constexpr std::chrono::seconds connection_wait_max{10};

} // namespace

Result<std::unique_ptr<BlobClient>> connect_to_owner(const std::string& address) {
  Result<UniqueFd> socket = vnvram::connect_to_owner(address, connection_wait_max);
  if (!socket) {
    return socket.error();
  }
  Result<std::unique_ptr<RemoteBlobClient>> client = RemoteBlobClient::connect(*std::move(socket));
  if (!client) {
    return client.error();
  }
  return std::unique_ptr<BlobClient>(*std::move(client));
}

} // namespace vnvram::nbdkit
