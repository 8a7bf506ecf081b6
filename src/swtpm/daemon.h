// --daemon: the process that was started ends when its child serves.
#pragma once

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// Before there are threads, and before anything is opened whose locks a fork would not inherit.
///
/// Whoever has started the program gets its exit code when the child serves, or when it has ended
/// before that, with the child's own code; what the child has to say goes to the same stderr until
/// then.
class Daemon {
public:
  /// Returns in the child only. Errors: io (then there is none).
  static Result<Daemon> fork();

  /// All that a confined process may not do any more: from now on the process has a session of its
  /// own, and stands in the root folder. Errors: io.
  Status leave();
  /// The one that was started ends with success. From now on the standard streams lead nowhere.
  /// After leave(). Errors: io.
  Status detach();

private:
  explicit Daemon(UniqueFd parent) : parent_(std::move(parent)) {}

  UniqueFd parent_;
  UniqueFd nowhere_; ///< Since leave().
};

} // namespace vnvram
