// A file that takes its name when it is complete.
#pragma once

#include <string>
#include <string_view>

#include <sys/stat.h>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// What errno says about a file that is being made: no_space, read_only or io.
Error file_error(const std::string& path, std::string_view what);

/// An empty file beside `target` that only this user may read, gone again unless it was renamed.
///
/// `forbidden` is set when a call fails because no file can take the place of this one: its folder
/// cannot be written to, it is mounted under its name, or its file system does not rename.
class NewFile {
public:
  static Result<NewFile> make(const std::string& target, bool& forbidden);
  /// Under its own name in a folder of its own beside `target`: some VM images hold their name.
  static Result<NewFile> make_in_folder(const std::string& target);
  NewFile(NewFile&& other) noexcept;
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile();

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int fd() const { return fd_.get(); }

  /// Gives it this owner and mode.
  Status take_over_rights(const struct stat& old, const std::string& target, bool& forbidden);
  /// The name is durable on return; the content is the caller's business.
  Status rename_to(const std::string& target, bool& forbidden);

private:
  NewFile() = default;
  std::string path_;
  std::string folder_; ///< Empty: none of its own.
  UniqueFd fd_;
};

} // namespace vnvram
