// Which blobs the clients of this nbdkit may write.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "client/blob_client.h"
#include "vnvram/result.h"

namespace vnvram::nbdkit {

/// What is connected to an export for writing is a machine's device: the image's owner is told
/// which blobs are in use so, for as long as there is a connection. Threads: any.
class Claims {
public:
  /// The client outlives it.
  explicit Claims(BlobClient& client) : client_(client) {}
  Claims(const Claims&) = delete;
  Claims& operator=(const Claims&) = delete;

  /// One more connection. Errors: those of BlobClient::claim(); then there is none more.
  Status begin(const std::string& blob);
  /// One less; what it wrote is durable.
  Status end(const std::string& blob);

private:
  [[nodiscard]] Status tell() const;

  BlobClient& client_;
  std::mutex mutex_; ///< Held while the owner is told: in the order of what happens here.
  std::map<std::string, std::size_t> connections_;
};

} // namespace vnvram::nbdkit
