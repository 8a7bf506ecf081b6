#include "client/local_blob_client.h"

#include <unistd.h>

namespace vnvram {

LocalBlobClient::LocalBlobClient(std::unique_ptr<Store> store)
    : store_(std::move(store)), opened_by_pid_(static_cast<std::uint32_t>(::getpid())) {}

Result<std::unique_ptr<BlobClient>>
LocalBlobClient::open(const std::string& location, const DeviceOptions& device_options,
                      SpacePolicy space, std::chrono::microseconds deferral,
                      std::function<void(const Error&)> failed_in_background) {
  auto device = open_device(location, Access::read_write, device_options);
  if (!device) {
    return device.error();
  }
  set_space_policy(**device, space, failed_in_background);
  OpenOptions options;
  options.deferral = deferral;
  options.failed_in_background = std::move(failed_in_background);
  options.threads_late = true; // For after_fork().
  auto store = Store::open(*std::move(device), std::move(options));
  if (!store) {
    return store.error();
  }
  return std::unique_ptr<BlobClient>(new LocalBlobClient(*std::move(store)));
}

Result<std::vector<BlobInfo>> LocalBlobClient::blobs() {
  return store_->blobs();
}

Status LocalBlobClient::read(std::string_view blob, std::uint64_t offset_bytes,
                             std::span<std::byte> bytes) {
  return store_->read_range(blob, offset_bytes, bytes);
}

Status LocalBlobClient::write(std::string_view blob, std::uint64_t offset_bytes,
                              std::span<const std::byte> bytes, Durability durability) {
  return durability == Durability::deferred
             ? store_->write_range_deferred(blob, offset_bytes, bytes)
             : store_->write_range(blob, offset_bytes, bytes);
}

Status LocalBlobClient::zero(std::string_view blob, std::uint64_t offset_bytes,
                             std::uint64_t length_bytes, Durability durability) {
  if (durability == Durability::deferred) {
    return store_->zero_range_deferred(blob, offset_bytes, length_bytes);
  }
  Transaction transaction;
  transaction.zero_range(blob, offset_bytes, length_bytes);
  return store_->commit(transaction);
}

Status LocalBlobClient::flush() {
  return store_->flush();
}

Status LocalBlobClient::after_fork() {
  return static_cast<std::uint32_t>(::getpid()) == opened_by_pid_ ? Status{}
                                                                  : store_->adopt_after_fork();
}

Status LocalBlobClient::close() {
  return store_->close();
}

} // namespace vnvram
