// Whose a FileDevice is: its locks, and its reservation.
#include <fcntl.h>
#include <sys/stat.h>

#include <fmt/core.h>

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

Status FileDevice::lock_for_writing() {
  if (Status status = check_writable(); !status) {
    return status;
  }
  if (Status status = lock_file(buffered(), path_); !status) {
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
  unlock_file(buffered());
}

Status FileDevice::shut_out_owner() {
  return reservation_ ? reservation_->shut_out_holder() : BlockDevice::shut_out_owner();
}

} // namespace vnvram
