#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "nbdkit/owner_connection.h"

#include <string_view>
#include <utility>

#include "rpc/remote_blob_client.h"
#include "rpc/socket_connection.h"

namespace vnvram::nbdkit {

Result<std::unique_ptr<BlobClient>> connect_to_owner(const std::string& address,
                                                     std::chrono::milliseconds reconnect) {
  const std::string path = address.substr(std::string_view("unix:").size());
  Result<std::unique_ptr<RemoteBlobClient>> client = RemoteBlobClient::connect(
      {.connect =
           [path] {
             return connect_to_socket(path, "is that the control socket of an owner that runs?");
           },
       .patience = reconnect,
       .log = [](const std::string& text) { nbdkit_debug("%s", text.c_str()); }});
  if (!client) {
    return client.error();
  }
  return std::unique_ptr<BlobClient>(*std::move(client));
}

} // namespace vnvram::nbdkit
