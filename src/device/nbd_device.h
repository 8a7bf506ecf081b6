// An NBD export as a BlockDevice, through libnbd.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "device/byte_range.h"
#include "vnvram/block_device.h"
#include "vnvram/open_device.h"

namespace vnvram {

class NbdConnection;
struct NbdRequest;

/// Where an export is: at `uri`, or at the unix socket `unix_path` under `export_name`, or at the
/// other end of `socket`.
struct NbdTarget {
  std::string name; ///< For messages: what the user named.
  std::string uri;  ///< nbd://, nbds://, nbd+unix:// or nbds+unix://; the others are then not used.
  std::string unix_path;
  int socket = -1; ///< Connected, nothing said yet. connect() takes it over in any case.
  std::string export_name;
  /// The server is ours alone and holds QEMU's image locks: nobody else writes what it serves.
  bool private_server = false;
  /// For connecting, and for each request.
  std::chrono::milliseconds timeout{30000};
};

/// One connection, for as long as the device lives. It is given up for good, and every later call
/// fails with the first cause, when it is lost or when a request has no answer in time: nobody
/// knows then whether what was under way took effect, so it is never called a success. To open the
/// image again is the way on.
///
/// Several threads' requests are under way at the same time. Requests larger than the server takes
/// are split. A server without FUA gets a flush after each durable write, one without flush gets
/// FUA with every write.
class NbdDevice final : public BlockDevice {
public:
  /// Errors: absent (nothing listens there, or no such export); read_only (for writing: the export
  /// is); unsupported (the server's block size, or for writing: it can neither flush nor do FUA);
  /// invalid_argument (not an NBD URI); io (anything else, a server that does not answer too).
  static Result<std::unique_ptr<NbdDevice>> connect(const NbdTarget& target, Access access);
  ~NbdDevice() override;

  [[nodiscard]] std::string name() const override;
  [[nodiscard]] DeviceCapabilities capabilities() const override;
  Result<std::uint64_t> size_bytes() override;
  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override;
  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override;
  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override;
  /// All of it is one round trip, where the server has FUA.
  Status write_durable_and_read(std::uint64_t write_offset_bytes, std::span<const std::byte> data,
                                std::uint64_t read_offset_bytes,
                                std::span<std::byte> buffer) override;
  Status flush() override;
  /// An export has the size that its server gives it: unsupported.
  Status resize(std::uint64_t size_bytes) override;
  /// A private server's image: what it has no space for is written with the zeros that it reads as.
  /// Another server's space is its owner's affair.
  Status fill_holes(const ByteRange& range);
  /// NBD has no locks: without effect, but that a read-only device refuses. The private server has
  /// taken QEMU's.
  Status lock_for_writing() override;
  void unlock() override {}

private:
  NbdDevice(std::unique_ptr<NbdConnection> connection, const NbdTarget& target, Access access);

  Status check_range(const char* verb, std::uint64_t offset_bytes,
                     std::uint64_t length_bytes) const;
  Status check_writable() const;
  [[nodiscard]] std::uint64_t request_size_max_bytes() const;
  void add_read(std::vector<NbdRequest>& requests, std::uint64_t offset_bytes,
                std::span<std::byte> buffer) const;
  Status add_write(std::vector<NbdRequest>& requests, bool durable, std::uint64_t offset_bytes,
                   std::span<const std::byte> data) const;
  Status run_durably(const std::vector<NbdRequest>& requests);

  std::unique_ptr<NbdConnection> connection_;
  bool private_server_;
  bool over_tcp_; ///< Other hosts reach it as well.
  Access access_;
};

} // namespace vnvram
