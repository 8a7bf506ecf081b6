// The log of vnvram-swtpm: where --log says.
#pragma once

#include <string_view>

#include "base/unique_fd.h"
#include "service/log.h"
#include "swtpm/file_option.h"
#include "vnvram/result.h"

namespace vnvram {

/// Level 1 has errors, warnings and what happens; 2 and more the details, too; from 5 on libtpms
/// says what it does, to the same place. Threads: any.
class SwtpmLog {
public:
  /// A file is made with mode 0600, or written to at its end, and never one that a symbolic link
  /// leads to. Errors: invalid_argument (the descriptor is not open for writing), io.
  static Result<SwtpmLog> open(const LogOption& option);

  SwtpmLog(SwtpmLog&&) = default;
  SwtpmLog& operator=(SwtpmLog&&) = delete;
  SwtpmLog(const SwtpmLog&) = delete;
  SwtpmLog& operator=(const SwtpmLog&) = delete;
  ~SwtpmLog() = default;

  [[nodiscard]] const Log& lines() const { return lines_; }
  /// Why the program does not start: in the log, and on stderr, from where libvirt takes what it
  /// tells its user; also with a log that is off.
  void start_error(std::string_view text) const;

private:
  SwtpmLog(UniqueFd file, const LogTarget& target, LogLevel level);

  UniqueFd file_; ///< Ours, if it was opened by its name.
  Log lines_;
  bool is_stderr_;
};

} // namespace vnvram
