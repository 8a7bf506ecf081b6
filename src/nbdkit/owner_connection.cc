#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "nbdkit/owner_connection.h"

#include <utility>

#include "rpc/owner_address.h"
#include "rpc/remote_blob_client.h"

namespace vnvram::nbdkit {

Result<std::unique_ptr<BlobClient>> connect_to_owner(const std::string& address,
                                                     std::chrono::milliseconds reconnect) {
  Result<Connector> connector = connector_to(address);
  if (!connector) {
    return connector.error();
  }
  Result<std::unique_ptr<RemoteBlobClient>> client = RemoteBlobClient::connect(
      {.connect = *std::move(connector), .patience = reconnect, .log = [](const std::string& text) {
         nbdkit_debug("%s", text.c_str());
       }});
  if (!client) {
    return client.error();
  }
  return std::unique_ptr<BlobClient>(*std::move(client));
}

bool is_started_again(const std::string& address) {
  return is_passed_on(address);
}

Status give_up_rights(const std::string& address, Seccomp mode) {
  return confine(mode, {.connections = !is_passed_on(address),
                        .sessions = true,
                        .threads = true,
                        .block_device = false});
}

} // namespace vnvram::nbdkit
