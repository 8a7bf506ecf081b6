// The exclusive right to write a regular file, in a form that QEMU understands.
//
// QEMU guards an image with open-file-description locks on single bytes, all of them shared: byte
// 100 + p says "I use permission p", byte 200 + p says "I do not let others use permission p". Each
// program first sets its own and then looks for conflicting ones of others. We do the same, so that
// qemu-img and qemu-system refuse to write an image that we own, we refuse one that they have, and
// `qemu-img info -U` still reads.
//
// "Set, then look" lets two programs that come at the same moment both fail. Between two of ours
// exactly one must win, so an exclusive lock on a byte that QEMU never touches is taken first.
#pragma once

#include <string>

#include "vnvram/result.h"

namespace vnvram {

/// The byte on which two of ours compete.
inline constexpr long file_lock_arbiter_byte = 64;

/// The byte that an owner locks by each further descriptor that it writes by.
inline constexpr long file_lock_writer_byte = 65;

/// Takes the locks on `fd`, which must be open for writing, without waiting; they belong to its
/// open file description and end with it. Errors: in_use; io or unsupported when the file system
/// cannot lock. After an error none of them is held.
Status lock_file(int fd, const std::string& name);

/// For another open file description of the same file that the owner writes by, beside the one with
/// the locks. Those of its own are what an NFS server knows a write by: once it has given a host's
/// locks up it refuses what that host has still under way by a locked description, and takes what
/// comes by another one, over whatever the next owner has written. Errors: as above.
Status lock_writer(int fd, const std::string& name);

/// Whether somebody else has them, or does not share what an owner needs: a question only, on a
/// `fd` that may be open for reading alone. The errors of lock_file(); success if they are to be
/// had now.
Status look_at_lock(int fd, const std::string& name);

/// Gives them up; harmless when they are not held.
void unlock_file(int fd);

} // namespace vnvram
