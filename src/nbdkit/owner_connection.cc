#include "nbdkit/owner_connection.h"

#include <string_view>
#include <utility>

#include "rpc/remote_blob_client.h"
#include "rpc/socket_connection.h"

namespace vnvram::nbdkit {

Result<std::unique_ptr<BlobClient>> connect_to_owner(const std::string& address) {
  Result<UniqueFd> socket = connect_to_socket(address.substr(std::string_view("unix:").size()),
                                              "is that the control socket of an owner that runs?");
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
