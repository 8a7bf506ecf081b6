// Where a linear file of swtpm's is: a file, or a block device.
#pragma once

#include <string>

#include "convert/swtpm_state_file.h"
#include "vnvram/result.h"

namespace vnvram {

class SwtpmLinearPlace {
public:
  explicit SwtpmLinearPlace(std::string path) : path_(std::move(path)) {}

  /// Errors: absent, io; in_use (an swtpm that locks it, as newer ones do, has it); foreign,
  /// too_new, corrupt: those of SwtpmLinearFile::parse().
  [[nodiscard]] Result<SwtpmStateFiles> read() const;
  /// Whether write() would find nothing in its way. Errors: exists, in_use; io.
  [[nodiscard]] Status check_free() const;
  /// Makes the file; a block device must be blank, and its header is written last. Errors: exists
  /// (something is there), in_use; no_space, read_only, io.
  [[nodiscard]] Status write(const SwtpmStateFiles& states) const;

private:
  std::string path_;
};

} // namespace vnvram
