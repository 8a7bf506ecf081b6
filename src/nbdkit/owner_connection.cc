#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "nbdkit/owner_connection.h"

#include <chrono>
#include <utility>

#include "rpc/owner_address.h"
#include "rpc/remote_blob_client.h"

namespace vnvram::nbdkit {
namespace {

using std::chrono::milliseconds;

// For a connection from who has started nbdkit: the first one, and each look for another.
constexpr milliseconds first_wait_max{10000};
constexpr milliseconds next_wait_max{100};

Connector connector_to(const std::string& address) {
  return [address, wait_max = first_wait_max]() mutable {
    return vnvram::connect_to_owner(address, std::exchange(wait_max, next_wait_max));
  };
}

} // namespace

Result<std::unique_ptr<BlobClient>> connect_to_owner(const std::string& address,
                                                     milliseconds reconnect) {
  Result<std::unique_ptr<RemoteBlobClient>> client = RemoteBlobClient::connect(
      {.connect = connector_to(address), .patience = reconnect, .log = [](const std::string& text) {
         nbdkit_debug("%s", text.c_str());
       }});
  if (!client) {
    return client.error();
  }
  return std::unique_ptr<BlobClient>(*std::move(client));
}

} // namespace vnvram::nbdkit
