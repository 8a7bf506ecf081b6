#include "device/hidden_writes.h"

#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>

namespace vnvram {
namespace {

// Of linux/magic.h those that are there in all versions that we build with, and of those whose
// numbers are only in their own sources.
constexpr std::array<std::uint64_t, 16> shared_file_systems = {
    0x6969,     // NFS
    0x517b,     // SMB
    0xff534d42, // CIFS
    0xfe534d42, // SMB 2 and later
    0x00c36400, // Ceph
    0x65735546, // FUSE: GlusterFS, sshfs, virtiofs
    0x01021997, // 9p
    0x01161970, // GFS2
    0x7461636f, // OCFS2
    0x0bd00bd0, // Lustre
    0x5346414f, // AFS
    0x73757245, // Coda
    0x47504653, // GPFS
    0x19830326, // BeeGFS
    0x786f4256, // VirtualBox's shared folders
    0xbacbacbc, // VMware's
};

// FUSE (virtiofs and sshfs, as they are set up by default), 9p, VirtualBox's and VMware's folders;
// OCFS2 (but with a cluster stack of its user space), BeeGFS (unless tuned), AFS and Coda, whose
// locks of parts of a file are the host's own.
constexpr std::array<std::uint64_t, 8> with_locks_of_one_host = {
    0x65735546, 0x01021997, 0x786f4256, 0xbacbacbc, 0x7461636f, 0x19830326, 0x5346414f, 0x73757245};

constexpr std::array<std::uint64_t, 5> without_inode_numbers = {0x517b, 0xff534d42, 0xfe534d42,
                                                                0x786f4256, 0xbacbacbc};

/// 0: that cannot be told.
std::uint64_t magic_of(int fd) {
  struct statfs status = {};
  // Of 32 bits, whatever the field's type is.
  return ::fstatfs(fd, &status) == 0 ? static_cast<std::uint32_t>(status.f_type) : 0;
}

} // namespace

bool is_shared_file_system(std::uint64_t magic) {
  return std::find(shared_file_systems.begin(), shared_file_systems.end(), magic) !=
         shared_file_systems.end();
}

bool cache_may_hide_writes(int fd) {
  struct stat status = {};
  if (::fstat(fd, &status) == 0 && S_ISBLK(status.st_mode)) {
    return true;
  }
  return is_shared_file_system(magic_of(fd));
}

bool owners_may_be_unseen(int fd) {
  struct stat status = {};
  if (::fstat(fd, &status) == 0 && S_ISBLK(status.st_mode)) {
    return true;
  }
  return has_locks_of_one_host(magic_of(fd));
}

bool has_locks_of_one_host(std::uint64_t magic) {
  return std::find(with_locks_of_one_host.begin(), with_locks_of_one_host.end(), magic) !=
         with_locks_of_one_host.end();
}

bool inodes_last(int fd) {
  return std::find(without_inode_numbers.begin(), without_inode_numbers.end(), magic_of(fd)) ==
         without_inode_numbers.end();
}

} // namespace vnvram
