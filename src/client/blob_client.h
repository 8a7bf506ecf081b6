// The blobs of one machine as a front end uses them, whoever owns the store: this process
// (LocalBlobClient), or one that is asked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "vnvram/blob.h"
#include "vnvram/result.h"

namespace vnvram {

/// When a write is to be durable.
enum class Durability {
  deferred, ///< Soon, in order with all others (Store::write_range_deferred).
  on_return,
};

/// Threads: every call may be made from any thread at any time, except that close() must be the
/// last. Errors are those of the store's calls, and io when the owner cannot be reached.
class BlobClient {
public:
  BlobClient() = default;
  BlobClient(const BlobClient&) = delete;
  BlobClient& operator=(const BlobClient&) = delete;
  virtual ~BlobClient() = default;

  /// Those that this client may use, in the order of their names.
  virtual Result<std::vector<BlobInfo>> blobs() = 0;
  /// Fills `bytes`, with zeros beyond the blob's current size. Sees what was written before.
  virtual Status read(std::string_view blob, std::uint64_t offset_bytes,
                      std::span<std::byte> bytes) = 0;
  /// All of it or, on an error, nothing.
  virtual Status write(std::string_view blob, std::uint64_t offset_bytes,
                       std::span<const std::byte> bytes, Durability durability) = 0;
  virtual Status zero(std::string_view blob, std::uint64_t offset_bytes, std::uint64_t length_bytes,
                      Durability durability) = 0;
  /// Every write that has returned, of whichever blob, is durable when it returns.
  virtual Status flush() = 0;
  /// The process has forked since the client was made, and nothing was asked of it before.
  virtual Status after_fork() = 0;
  /// The end. All writes are durable when it returns.
  virtual Status close() = 0;
};

} // namespace vnvram
