// A file that takes its name when it is complete.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <sys/stat.h>

#include "base/folder.h"
#include "base/unique_fd.h"
#include "base/work_folder.h"
#include "device/qemu_file.h"
#include "vnvram/result.h"

namespace vnvram {

/// What errno says about a file that is being made: no_space, read_only or io.
Error file_error(const std::string& path, std::string_view what);

/// Whose a new file is, and who may use it.
struct FileRights {
  static constexpr auto as_made = ~uid_t{0};
  uid_t user = as_made;
  gid_t group = as_made;
  mode_t mode = 0;
  /// False: it stays this user's where this user can give it to nobody else.
  bool owner_is_needed = true;

  static FileRights of(const struct stat& file);
};

/// An empty file that only this user may read, under its own name (some VM images hold it) in a
/// folder of its own beside the target; gone again unless it was renamed. Whoever else may write to
/// the target's folder, or to those on the way there, can neither have it made elsewhere nor put
/// something else in its place before it has its name.
///
/// `forbidden` is set when a call fails because no file can take the place of this one: its folder
/// cannot be written to, it is mounted under its name, or its file system does not rename.
class NewFile {
public:
  static Result<NewFile> make(const std::string& target, bool& forbidden);
  /// In a folder that is open already.
  static Result<NewFile> make(const Folder& folder, const std::string& name, bool& forbidden);
  /// What was left behind there by those that were killed while they made such a file.
  static void remove_left(const Folder& folder);

  /// Where it is to be, for messages.
  [[nodiscard]] const std::string& target() const { return target_; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// For QEMU's programs. Errors: io.
  [[nodiscard]] Result<QemuFile> for_qemu() const;

  Status set_rights(const FileRights& rights, bool& forbidden);
  /// What has that name by then: nothing, or the file that this one is to take the place of.
  enum class Replaces { nothing, old_file };
  /// The name is durable on return; the content is the caller's business. Errors: stale: it is
  /// empty, or another file is there instead: whoever was to write it has written elsewhere;
  /// exists: somebody else has made something of that name meanwhile, which is as it was.
  Status take_name(Replaces replaces, bool& forbidden);

private:
  [[nodiscard]] Status check_is_it() const;
  [[nodiscard]] bool give_name(Replaces replaces) const;
  NewFile(WorkFolder folder, std::string name, std::string target, UniqueFd fd)
      : folder_(std::move(folder)), name_(std::move(name)), target_(std::move(target)),
        fd_(std::move(fd)) {}

  WorkFolder folder_;
  std::string name_;
  std::string target_;
  UniqueFd fd_;
};

} // namespace vnvram
