// A file that takes its name when it is complete.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <sys/stat.h>

#include "base/unique_fd.h"
#include "base/work_folder.h"
#include "vnvram/result.h"

namespace vnvram {

/// What errno says about a file that is being made: no_space, read_only or io.
Error file_error(const std::string& path, std::string_view what);

/// An empty file that only this user may read, under its own name (some VM images hold it) in a
/// folder of its own beside `target`; gone again unless it was renamed.
///
/// `forbidden` is set when a call fails because no file can take the place of this one: its folder
/// cannot be written to, it is mounted under its name, or its file system does not rename.
class NewFile {
public:
  static Result<NewFile> make(const std::string& target, bool& forbidden);
  /// What was left behind beside the target by those that were killed while they made such a file.
  static void remove_left(const std::string& target);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int fd() const { return fd_.get(); }

  /// Gives it this owner and mode.
  Status take_over_rights(const struct stat& old, const std::string& target, bool& forbidden);
  /// The name is durable on return; the content is the caller's business.
  Status rename_to(const std::string& target, bool& forbidden);

private:
  NewFile(WorkFolder folder, std::string path, UniqueFd fd)
      : folder_(std::move(folder)), path_(std::move(path)), fd_(std::move(fd)) {}

  WorkFolder folder_;
  std::string path_;
  UniqueFd fd_;
};

} // namespace vnvram
