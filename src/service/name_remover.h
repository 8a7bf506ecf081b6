// The names of sockets and of the pid file, removed at the end by a process of its own.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// A process that does nothing but remove the names that were there when remember() was called. It
/// stays the user that has started vnvram-tpm, which may remove what it has made, and so the daemon
/// needs neither that right nor the system call. It takes no names from the daemon, holds none of
/// its descriptors, and ends with it, however that ends; then without removing anything, because
/// the next daemon may be using the names already.
class NameRemover {
public:
  /// Forks: before there are threads, and before anything is open that the other must not hold.
  /// `confined`: the process gets a filter of its own. Errors: io, unsupported.
  static Result<std::unique_ptr<NameRemover>> start(std::vector<std::string> paths, bool confined);

  NameRemover(const NameRemover&) = delete;
  NameRemover& operator=(const NameRemover&) = delete;
  /// Removes those of the remembered names that are still the same files, and waits until it is
  /// done: while the sockets are open, so that nobody takes their names for stale meanwhile.
  ~NameRemover();

  /// What has these names now is ours. To be called once. Errors: io.
  Status remember();

private:
  NameRemover(pid_t process, UniqueFd connection)
      : process_(process), connection_(std::move(connection)) {}
  Status ask(char what);

  pid_t process_;
  UniqueFd connection_;
};

} // namespace vnvram
