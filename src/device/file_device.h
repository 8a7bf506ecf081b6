// A regular file or a host block device as a BlockDevice.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "device/direct_file.h"
#include "device/file_name.h"
#include "device/opened_file.h"
#include "device/persistent_reservation.h"
#include "device/space_keeper.h"
#include "vnvram/block_device.h"
#include "vnvram/open_device.h"

namespace vnvram {

/// Two descriptors of the same file: a buffered one for everything, and one opened with O_DIRECT
/// for write_durable, where the copy through the page cache and its write-back would be paid on
/// every commit. The kernel drops the page cache of a range that is written directly, so reads see
/// it. Where a page cache may hide what another owner writes (hidden_writes.h), all reads are
/// direct as well.
///
/// More than 30 methods: all that a device can be asked, and three ways to have its file.
class FileDevice final : public BlockDevice, public SpaceKeeper {
public:
  /// What open_device() promises. `path` may be "fd:N".
  static Result<std::unique_ptr<FileDevice>> open(const std::string& path, Access access);
  /// The same of a file that was found at `path`, and is open. Errors: io.
  static Result<std::unique_ptr<FileDevice>> of_found_file(OpenedFile file, std::string path,
                                                           Access access);
  /// What is open for this, and is not looked for by a path: nobody has said where it stays.
  /// `name` is for messages. Errors: io.
  static Result<std::unique_ptr<FileDevice>> of_open_file(OpenedFile file, std::string name,
                                                          Access access);

  /// From here on lock_for_writing() reserves it as well: see vnvram::reserve_when_locked().
  /// Errors: invalid_argument (no block device, or not for writing).
  Status reserve_when_locked();
  /// After unlock(): whether another host can have it. Errors: io (to give it back has failed);
  /// unsupported (so, for lack of a right; or this host had it reserved before, by an owner that
  /// was killed or by a take-over, and nobody has asked this one to).
  [[nodiscard]] Status given_back() const;

  [[nodiscard]] std::string name() const override { return path_; }
  [[nodiscard]] DeviceCapabilities capabilities() const override;
  Result<std::uint64_t> size_bytes() override;
  Status read(std::uint64_t offset_bytes, std::span<std::byte> buffer) override;
  Status write(std::uint64_t offset_bytes, std::span<const std::byte> data) override;
  Status write_durable(std::uint64_t offset_bytes, std::span<const std::byte> data) override;
  /// Both are under way at once where reads are direct.
  Status write_durable_and_read(std::uint64_t write_offset_bytes, std::span<const std::byte> data,
                                std::uint64_t read_offset_bytes,
                                std::span<std::byte> buffer) override;
  Status flush() override;
  Status resize(std::uint64_t size_bytes) override;
  /// A regular file is locked here. A block device was opened exclusively, which keeps mounts and
  /// other owners on this host out; here it gets the same locks as a file, for QEMU's sake.
  /// Who writes nothing before unlock() leaves its reservation as it was.
  Status lock_for_writing() override;
  /// A block device that another host has reserved is taken from it, and is this host's from then
  /// on. Who has asked for the reservation gives it back by unlock(); else it stays for this host's
  /// next owner, and what was shut out stays shut out. So it does if this host had it already, and
  /// who has locked it then has written nothing: its image could not be opened.
  Status shut_out_owner() override;
  void unlock() override;
  Status check_name() override;
  Status reserve_space(const ByteRange& range) override;

private:
  FileDevice(std::string path, OpenedFile file, Access access);

  [[nodiscard]] int buffered() const { return file_.fd.get(); }
  Status check_range(const char* verb, std::uint64_t offset_bytes,
                     std::uint64_t length_bytes) const;
  Status check_writable() const;
  Status check_there();
  Status check_durable_is_found();
  Status check_still_named() const;
  Status drop_cache();
  [[nodiscard]] bool reads_directly() const { return medium_reads_ && direct_.works(); }
  bool read_directly(std::uint64_t offset_bytes, std::span<std::byte> buffer, int& error);
  Status read_buffered(std::uint64_t offset_bytes, std::span<std::byte> buffer);
  AsyncIo::Ends begin_both(std::uint64_t write_offset_bytes, std::span<const std::byte> data,
                           std::uint64_t read_offset_bytes, std::span<std::byte> buffer,
                           Status& written);
  Status grow_file(std::uint64_t old_size_bytes, std::uint64_t new_size_bytes);
  [[nodiscard]] Error failure(ErrorKind kind, const std::string& what, int error);
  [[nodiscard]] Error reserved_elsewhere(const std::string& what) const;
  [[nodiscard]] Error lock_lost(const std::string& what) const;
  [[nodiscard]] Error space_failure(const std::string& what, int error);
  [[nodiscard]] Error failure_at(const char* verb, std::uint64_t offset_bytes,
                                 std::uint64_t length_bytes, int error);
  Status lock_descriptors();
  bool has_lost_lock();

  std::string path_;
  OpenedFile file_;
  DirectFile direct_;
  DirectFile unlocked_; ///< To read by when the lock is lost; where a file's lock can be.
  Access access_;
  bool medium_reads_;                 ///< The page cache is not to be trusted.
  bool unseen_owners_;                ///< Locks say nothing of other hosts.
  bool has_path_ = false;             ///< What it was opened by, and is to be found by again.
  std::optional<FileName> file_name_; ///< Of a regular file that is open for writing.
  std::optional<PersistentReservation> reservation_; ///< Of a block device that is so.
  bool reserves_ = false;                            ///< Was asked to.
  std::atomic<bool> was_written_ = false;            ///< Since it was locked.
  Status given_back_;                                ///< What came of that, by unlock().
  std::atomic<bool> lost_lock_{false};
  std::atomic<std::chrono::steady_clock::time_point> name_checked_{};
  std::atomic<std::uint64_t> size_bytes_{0};
};

} // namespace vnvram
