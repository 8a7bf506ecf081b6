// What the daemon gives up once everything is open.
#pragma once

#include <sys/types.h>

#include <string>

#include "vnvram/result.h"

namespace vnvram {

/// Errors: invalid_argument (there is no such user).
Result<uid_t> find_user(const std::string& user);

/// What a user keeps of root's rights.
enum class KeptRights {
  none,
  /// To reserve a block device and to see who has, as far as this kernel asks for one:
  /// CAP_SYS_RAWIO, and before Linux 6.6 CAP_SYS_ADMIN.
  to_reserve,
};

/// Becomes this user, with its group and supplementary groups, for good. What is kept is kept by
/// the thread that calls, and by those that it starts afterwards. Errors: invalid_argument (no such
/// user), unsupported (not started as root).
Status become_user(const std::string& user, KeptRights kept = KeptRights::none);

/// What happens at a system call that the daemon never makes.
enum class Seccomp { on, log, off };

/// What a process needs beside serving sockets and a store that are there.
struct SandboxNeeds {
  bool connections = false; ///< Opening some: to drives, or to an image's owner.
  bool sessions = false;    ///< Of an image's owner, or with one: event descriptors.
  bool threads = false;     ///< Starting some: also of nbdkit's, one for each client.
  bool growth = false;      ///< Lengthening the image.
  /// A library with threads of its own, which makes connections, timers and whatever else as it
  /// sees fit, for as long as the process lives (librbd).
  bool client_library = false;
  bool files = false; ///< Opening, making, renaming and removing some: images that come later.
  /// The image is one, or may be: it is reserved, and with `files` asked who has reserved it, which
  /// takes the right to any SCSI command that the kernel lets the process give. Without, those
  /// calls fail (EACCES), and the process goes on.
  bool block_device = true;
};

/// From now on no thread of the process gets new privileges, nor makes a system call that serving a
/// TPM, NBD clients, or sessions, and a store does not need: such a call ends the process (`on`),
/// or reaches the system's audit log (`log`). So does a call of another architecture that the
/// processor runs, too. Afterwards no file can be opened or removed, no program run, no memory made
/// executable, and no other process reached by a signal; but for what is needed. With a client
/// library calls are not those of a list, since that is in no list: what ends the process is
/// starting another one, running a program, reaching into other processes, and what administers
/// the machine. Errors: unsupported.
Status confine(Seccomp mode, SandboxNeeds needs);

/// The same for the process of NameRemover, which needs far less. False: it could not be done.
bool confine_name_remover();

} // namespace vnvram
