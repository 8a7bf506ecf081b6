// Where an export takes an image's blobs from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "client/moment.h"
#include "vnvram/result.h"

namespace vnvram {

/// What it says is checked by who asks: it may be another process.
class BlobSource {
public:
  BlobSource() = default;
  BlobSource(const BlobSource&) = delete;
  BlobSource& operator=(const BlobSource&) = delete;
  virtual ~BlobSource() = default;

  /// See OwnerClient::changes().
  virtual Result<Moment> changes(std::uint64_t after, std::uint64_t content_max_bytes) = 0;
  /// See OwnerClient::read_settled().
  virtual Status read(const std::string& blob, std::uint64_t offset_bytes,
                      std::span<std::byte> bytes) = 0;
  /// Nothing changes from now on, for a while or until let_go(). Errors: those of a hold.
  virtual Status hold() = 0;
  virtual void let_go() = 0;
};

} // namespace vnvram
