// One implementation of BlobClient, with the owner behind it, for the conformance tests.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "client/blob_client.h"

namespace vnvram::test {

/// What a factory sets up, and what the tests need of the owner's side.
class BlobHost {
public:
  BlobHost() = default;
  BlobHost(const BlobHost&) = delete;
  BlobHost& operator=(const BlobHost&) = delete;
  virtual ~BlobHost() = default;

  /// One more front end.
  virtual std::unique_ptr<BlobClient> connect() = 0;
  /// Whether a blob that one of them has written is its own to write from then on.
  [[nodiscard]] virtual bool gives_rights_to_one() const { return false; }
  /// The blob's bytes as an owner finds them that comes after a power cut now.
  virtual std::vector<std::byte> after_a_cut(std::string_view blob) = 0;

  /// From now on no write to the device succeeds.
  virtual void break_device() = 0;
  virtual void seal() = 0;
  virtual void unseal() = 0;
  virtual void hold() = 0;
  virtual void release() = 0;
  virtual void detach() = 0;
  virtual void attach() = 0;
  virtual void remove(std::string_view blob) = 0;
};

/// An image with these blobs, never written, and room for as much again. `deferral`: how long
/// deferred writes may wait.
using MakeBlobHost = std::unique_ptr<BlobHost> (*)(const std::vector<BlobSpec>& blobs,
                                                   std::chrono::microseconds deferral);

std::unique_ptr<BlobHost> make_local_blob_host(const std::vector<BlobSpec>& blobs,
                                               std::chrono::microseconds deferral);
std::unique_ptr<BlobHost> make_remote_blob_host(const std::vector<BlobSpec>& blobs,
                                                std::chrono::microseconds deferral);
/// Whose clients outlive their owner.
std::unique_ptr<BlobHost> make_lasting_blob_host(const std::vector<BlobSpec>& blobs,
                                                 std::chrono::microseconds deferral);
std::unique_ptr<BlobHost> make_memory_blob_host(const std::vector<BlobSpec>& blobs,
                                                std::chrono::microseconds deferral);

} // namespace vnvram::test
