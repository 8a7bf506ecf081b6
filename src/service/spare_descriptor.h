// A descriptor that is kept for when there are no more.
#pragma once

#include <fcntl.h>

#include "base/unique_fd.h"

namespace vnvram {

/// Another thread may be quicker to take what is let go: a help, not a promise.
class SpareDescriptor {
public:
  /// Of this one it is a copy, which says nothing; it has to stay open.
  explicit SpareDescriptor(int model) : model_(model) { (void)keep(); }

  /// False: there is none to be had.
  [[nodiscard]] bool keep() {
    if (!spare_.valid()) {
      spare_.reset(::fcntl(model_, F_DUPFD_CLOEXEC, 0));
    }
    return spare_.valid();
  }
  void let_go() { spare_.reset(); }

private:
  int model_;
  UniqueFd spare_;
};

} // namespace vnvram
