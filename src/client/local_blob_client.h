// A client whose owner is in this process.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "client/blob_client.h"
#include "owner/image_keeper.h"

namespace vnvram {

/// One front end's. It lasts as long as the front end, whatever image the keeper has meanwhile.
class LocalBlobClient : public BlobClient {
public:
  /// The keeper outlives it.
  explicit LocalBlobClient(ImageKeeper& keeper) : keeper_(keeper) {}
  /// Ends the watch, and writes nothing.
  ~LocalBlobClient() override;

  Result<std::vector<BlobInfo>> blobs() override;
  Result<BlobInfo> blob(std::string_view name) override;
  Result<ImageState> state() override;
  Result<std::vector<std::byte>> read_all(std::string_view blob) override;
  Status read(std::string_view blob, std::uint64_t offset_bytes,
              std::span<std::byte> bytes) override;
  Status write(std::string_view blob, std::uint64_t offset_bytes, std::span<const std::byte> bytes,
               Durability durability) override;
  Status zero(std::string_view blob, std::uint64_t offset_bytes, std::uint64_t length_bytes,
              Durability durability) override;
  Result<std::uint64_t> commit(const Transaction& transaction) override;
  Status flush() override;
  Status register_blobs(std::span<const BlobSpec> blobs) override;
  void watch_failures(std::function<void(const Error&)> failed_in_background) override;
  Status claim(const std::vector<std::string>& blobs) override;
  Status hand_over() override;
  Status take_back() override;
  Result<bool> look_again() override;
  Status close() override;

private:
  ImageKeeper& keeper_;
  std::mutex watch_mutex_;
  std::uint64_t watch_number_ = 0; ///< Under the mutex; 0: none.
};

} // namespace vnvram
