// A BlobClient of blobs in memory.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/blob_client.h"
#include "support/memory_blobs.h"

namespace vnvram::test {

class MemoryBlobClient final : public BlobClient {
public:
  explicit MemoryBlobClient(std::shared_ptr<MemoryBlobs> blobs) : blobs_(std::move(blobs)) {}
  ~MemoryBlobClient() override { blobs_->set_watcher(this, {}); }

  Result<std::vector<BlobInfo>> blobs() override { return blobs_->blobs(); }
  Result<BlobInfo> blob(std::string_view name) override { return blobs_->blob(name); }
  Result<ImageState> state() override { return blobs_->state(); }
  Result<std::vector<std::byte>> read_all(std::string_view blob) override {
    return blobs_->read_all(blob);
  }
  Status read(std::string_view blob, std::uint64_t offset_bytes,
              std::span<std::byte> bytes) override {
    return blobs_->read(blob, offset_bytes, bytes);
  }
  Status write(std::string_view blob, std::uint64_t offset_bytes, std::span<const std::byte> bytes,
               Durability durability) override {
    Transaction transaction;
    transaction.write_range(blob, offset_bytes, bytes);
    return change(transaction, durability);
  }
  Status zero(std::string_view blob, std::uint64_t offset_bytes, std::uint64_t length_bytes,
              Durability durability) override {
    Transaction transaction;
    transaction.zero_range(blob, offset_bytes, length_bytes);
    return change(transaction, durability);
  }
  Result<std::uint64_t> commit(const Transaction& transaction) override {
    return blobs_->change(transaction, true);
  }
  Status flush() override { return blobs_->flush(); }
  Status register_blobs(std::span<const BlobSpec> blobs) override {
    return blobs_->register_blobs(blobs);
  }
  void watch_failures(std::function<void(const Error&)> failed_in_background) override {
    blobs_->set_watcher(this, std::move(failed_in_background));
  }
  Status claim(const std::vector<std::string>& blobs) override {
    for (const std::string& name : blobs) {
      if (const auto found = blob(name); !found) {
        return found.error();
      }
    }
    return {};
  }
  Status hand_over() override { return seal(true); }
  Status take_back() override { return seal(false); }
  Result<bool> look_again() override {
    const auto found = state();
    return found ? Result<bool>(false) : found.error();
  }
  Status close() override { return flush(); }

private:
  Status seal(bool sealed) {
    const auto found = state();
    if (!found) {
      return found.error();
    }
    blobs_->set_sealed(sealed);
    return {};
  }
  Status change(const Transaction& transaction, Durability durability) {
    const auto changed = blobs_->change(transaction, durability == Durability::on_return);
    return changed ? Status() : changed.error();
  }

  const std::shared_ptr<MemoryBlobs> blobs_;
};

} // namespace vnvram::test
