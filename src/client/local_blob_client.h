// A client whose store is its own.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "client/blob_client.h"
#include "vnvram/open_device.h"
#include "vnvram/space.h"
#include "vnvram/store.h"

namespace vnvram {

class LocalBlobClient : public BlobClient {
public:
  /// Opens the image at `location` (see open_device) for writing. `deferral`: how long deferred
  /// writes may wait; `failed_in_background`: see OpenOptions; it hears of missing space as well.
  /// Errors: those of open_device() and Store::open().
  static Result<std::unique_ptr<BlobClient>>
  open(const std::string& location, const DeviceOptions& device_options, SpacePolicy space,
       std::chrono::microseconds deferral, std::function<void(const Error&)> failed_in_background);

  Result<std::vector<BlobInfo>> blobs() override;
  Status read(std::string_view blob, std::uint64_t offset_bytes,
              std::span<std::byte> bytes) override;
  Status write(std::string_view blob, std::uint64_t offset_bytes, std::span<const std::byte> bytes,
               Durability durability) override;
  Status zero(std::string_view blob, std::uint64_t offset_bytes, std::uint64_t length_bytes,
              Durability durability) override;
  Status flush() override;
  Status after_fork() override;
  Status close() override;

private:
  explicit LocalBlobClient(std::unique_ptr<Store> store);

  std::unique_ptr<Store> store_;
  std::uint32_t opened_by_pid_;
};

} // namespace vnvram
