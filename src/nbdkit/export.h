// One blob as a client of the NBD server sees it: an array of bytes, as long as its chip.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "client/blob_client.h"
#include "nbdkit/claims.h"

namespace vnvram::nbdkit {

/// One connection's, whose requests come one after the other. What it has written is durable when
/// close() has succeeded.
///
/// Where a blob is the beginning of a larger flash chip (see chip_size_bytes), the export is the
/// chip: zeros behind the blob. Those can be written, as QEMU writes a whole flash when a machine
/// goes on; a write of anything else there is refused (no_space), all of it.
///
/// Ranges were checked by nbdkit against size_bytes(); the store checks them once more.
class Export {
public:
  /// `client` and `claims` outlive it. `durable`: every write, asked for or not.
  Export(BlobClient& client, Claims& claims, BlobInfo blob, bool read_only, bool durable);
  /// If it can be written: until close() no other session can change the blob. Errors: in_use,
  /// not_found.
  Status claim();

  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  [[nodiscard]] bool read_only() const { return read_only_; }
  /// For people.
  [[nodiscard]] static std::string description(const BlobInfo& blob);
  [[nodiscard]] std::string description() const { return description(blob_); }

  Status read(std::uint64_t offset_bytes, std::span<std::byte> bytes);
  Status write(std::uint64_t offset_bytes, std::span<const std::byte> bytes, bool durable);
  Status zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, bool durable);
  Status flush();
  /// A connection that has not written leaves the others' writes as they are: to look costs
  /// nothing.
  Status close();

private:
  [[nodiscard]] Durability durability(bool durable);
  Status nothing_of_it_is_kept(bool durable);
  [[nodiscard]] Status check_range(std::uint64_t offset_bytes, std::uint64_t length_bytes) const;
  /// How many of these bytes are the blob's; the others are behind it.
  [[nodiscard]] std::size_t bytes_in_blob(std::uint64_t offset_bytes,
                                          std::uint64_t length_bytes) const;

  BlobClient& client_;
  Claims& claims_;
  bool claims_blob_ = false;
  const BlobInfo blob_;
  const std::uint64_t size_bytes_;
  const bool read_only_;
  const bool durable_;
  bool has_deferred_ = false;
};

} // namespace vnvram::nbdkit
