#include "unit/client/local_blob_host.h"

namespace vnvram::test {

std::unique_ptr<BlobHost> make_local_blob_host(const std::vector<BlobSpec>& blobs,
                                               std::chrono::microseconds deferral) {
  return std::make_unique<LocalBlobHost>(blobs, deferral);
}

} // namespace vnvram::test
