// Whose a FileDevice is: its locks, and its reservation.
#include <fcntl.h>
#include <sys/stat.h>

#include <fmt/core.h>

#include "base/aligned_buffer.h"
#include "base/barrier.h"
#include "device/file_device.h"
#include "device/file_lock.h"

namespace vnvram {

Status FileDevice::reserve_when_locked() {
  if (!reservation_) {
    return Error(ErrorKind::invalid_argument, path_ + ": is no block device to reserve",
                 "leave the reservation out: a file has locks");
  }
  reserves_ = true;
  return {};
}

Status FileDevice::given_back() const {
  if (reserves_ || !reservation_ || !reservation_->is_held()) {
    return given_back_;
  }
  return Error(ErrorKind::unsupported,
               path_ + ": this host has it reserved from before, by an owner that was killed or by "
                       "a take-over, and nobody has asked for its being given back",
               "start what serves it with --reservation, which goes on with that one, and gives it "
               "back");
}

Error FileDevice::reserved_elsewhere(const std::string& what) const {
  return {ErrorKind::in_use,
          fmt::format("{}: {}: another host has reserved it, and its storage takes no writes of "
                      "this one any more",
                      path_, what),
          "open it again only if it is this machine's turn: when its owner there has ended, or by "
          "taking it over"};
}

/// A file that was replaced under its name between opening and locking is nobody's image any more:
/// what is written to it would be lost with this process.
Status FileDevice::check_still_named() const {
  if (!has_path_) {
    return {};
  }
  struct stat named = {};
  struct stat opened = {};
  if (::fstat(buffered(), &opened) == 0 && ::stat(path_.c_str(), &named) == 0 &&
      named.st_dev == opened.st_dev && named.st_ino == opened.st_ino) {
    return {};
  }
  return Error(ErrorKind::in_use, fmt::format("{}: was replaced while it was opened", path_),
               "open it again");
}

Status FileDevice::lock_descriptors() {
  Status status = lock_file(buffered(), path_);
  if (status && !file_.block_special && kept(Barrier::writer_locked)) {
    status = direct_.lock(path_);
  }
  if (!status) {
    unlock_file(buffered());
  }
  lost_lock_ = false; // Of before.
  return status;
}

// The kernel says no more than EIO, of all that comes by a descriptor whose lock it has lost.
bool FileDevice::has_lost_lock() {
  if (!lost_lock_.load() && unlocked_.works() && direct_.works()) {
    AlignedBuffer block(block_size_bytes);
    int error = 0;
    int other_error = 0;
    if (!direct_.read(0, block.span(), error) && error == EIO &&
        unlocked_.read(0, block.span(), other_error)) {
      lost_lock_ = true;
    }
  }
  return lost_lock_.load();
}

Error FileDevice::lock_lost(const std::string& what) const {
  return {
      ErrorKind::in_use,
      fmt::format("{}: {}: its lock is lost: the file server has not heard of this host for "
                  "longer than its lease, or did not get the lock back when it was restarted",
                  path_, what),
      "another host may have the image by now: open it again only if it is this machine's turn"};
}

Status FileDevice::lock_for_writing() {
  if (Status status = check_writable(); !status) {
    return status;
  }
  if (Status status = lock_descriptors(); !status) {
    return status;
  }
  // From here on nobody writes, on whatever host: what is read is what there is.
  Status status;
  was_written_ = false;
  if (reservation_) {
    status = reserves_ ? reservation_->take() : reservation_->join();
  }
  if (status) {
    status = check_still_named();
  }
  if (status) {
    status = drop_cache();
  }
  if (!status) {
    unlock();
  }
  return status;
}

/// After a failed write-back the kernel keeps the pages and calls them clean: an owner before us
/// may have left bytes in the page cache that the disk does not have, and no flush would put them
/// there. What the new owner recovers from must be what the disk holds.
Status FileDevice::drop_cache() {
  if (Status status = flush(); !status) {
    return status;
  }
  if (kept(Barrier::drop_cache)) {
    (void)::posix_fadvise(buffered(), 0, 0, POSIX_FADV_DONTNEED);
  }
  return {};
}

void FileDevice::unlock() {
  if (reserves_ && reservation_->was_here() && !was_written_) {
    reservation_->leave();
  } else if (reserves_) {
    given_back_ = reservation_->give_back();
  }
  direct_.unlock();
  unlock_file(buffered());
}

Status FileDevice::shut_out_owner() {
  return reservation_ ? reservation_->shut_out_holder() : BlockDevice::shut_out_owner();
}

} // namespace vnvram
