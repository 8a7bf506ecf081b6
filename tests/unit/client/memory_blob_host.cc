// MemoryBlobClient: what tests of front ends stand on has to be as the others are.
#include "support/expect_status.h"
#include "support/memory_blob_client.h"
#include "unit/client/blob_host.h"

namespace vnvram::test {
namespace {

class MemoryBlobHost final : public BlobHost {
public:
  explicit MemoryBlobHost(const std::vector<BlobSpec>& blobs) {
    EXPECT_TRUE(blobs_->register_blobs(blobs).ok());
  }

  std::unique_ptr<BlobClient> connect() override {
    return std::make_unique<MemoryBlobClient>(blobs_);
  }
  std::vector<std::byte> after_a_cut(std::string_view blob) override {
    return blobs_->durable_content(blob);
  }
  void break_device() override { blobs_->break_device(); }
  void seal() override { blobs_->set_sealed(true); }
  void unseal() override { blobs_->set_sealed(false); }
  void hold() override { blobs_->set_held(true); }
  void release() override { blobs_->set_held(false); }
  void detach() override { blobs_->set_attached(false); }
  void attach() override { blobs_->set_attached(true); }
  void remove(std::string_view blob) override { blobs_->remove(blob); }

private:
  std::shared_ptr<MemoryBlobs> blobs_ = std::make_shared<MemoryBlobs>();
};

} // namespace

std::unique_ptr<BlobHost> make_memory_blob_host(const std::vector<BlobSpec>& blobs,
                                                std::chrono::microseconds /*deferral*/) {
  return std::make_unique<MemoryBlobHost>(blobs);
}

} // namespace vnvram::test
