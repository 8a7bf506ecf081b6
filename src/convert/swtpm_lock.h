// Keeps swtpm away from its state while that is read or written.
#pragma once

#include <string>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// swtpm locks all of a file for writing while it runs: .lock in its folder, and from 0.8 on a
/// linear file itself. A shared lock of that file keeps it from starting, needs no right to write,
/// and changes nothing.
class SwtpmLock {
public:
  /// Of a file that may be missing, as it is where no swtpm has run: see check(). Errors: in_use;
  /// io.
  static Result<SwtpmLock> take(const std::string& path);
  /// Asked when the work is done: no swtpm has made the file meanwhile that was missing. Errors:
  /// in_use.
  [[nodiscard]] Status check() const;

private:
  SwtpmLock(std::string path, UniqueFd file) : path_(std::move(path)), file_(std::move(file)) {}

  std::string path_;
  UniqueFd file_;
};

} // namespace vnvram
