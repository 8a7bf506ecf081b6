// An image that has the place of swtpm's state, and swtpm's state in its place again.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/stat.h>

#include "base/folder.h"
#include "base/unique_fd.h"
#include "convert/swtpm_lock.h"
#include "convert/swtpm_state_file.h"
#include "soft_tpm/tpm_blobs.h"
#include "vnvram/result.h"

namespace vnvram {

/// In a folder, by the name of swtpm's permanent state; or all of a file or block device of its
/// back end file://. All is done in the folder that the path led to at first, and by way of no
/// link.
class SwtpmReturn {
public:
  /// Keeps swtpm out of a folder from here on. Errors: absent; invalid_argument (a link, or neither
  /// file nor device); in_use; io.
  static Result<SwtpmReturn> prepare(const std::string& image);

  /// Of which TPM it can be, by its name; nullopt: of either.
  [[nodiscard]] std::optional<TpmVersion> version() const { return version_; }
  [[nodiscard]] bool is_device() const { return S_ISBLK(image_.st_mode); }

  /// Once this process has the image closed: nobody else opens it for writing from here on, unless
  /// it has a folder, which is locked already. Errors: in_use, stale; io.
  Status lock();
  /// Gives the image another name: IMAGE.vnvram, or IMAGE.vnvram.2 and so on. Of a device it is
  /// copied to `copy`, which must not be there. Durable on return. Returns the path. Errors:
  /// exists; no_space, read_only, io.
  Result<std::string> keep(const std::string& copy);
  /// What keep() has made goes again.
  void drop_kept() const;
  /// In the image's place, of its owner and mode; of a file or device as large as it was. A file is
  /// whole or not there at all; of a device the copy is needed where this is cut. `begun`: where it
  /// fails, whether what was kept is by now all that is left of the image. Errors: no_space,
  /// read_only, io.
  Status put(TpmVersion version, const SwtpmStateFiles& states, bool& begun);

private:
  SwtpmReturn(Folder folder, std::string name)
      : folder_(std::move(folder)), name_(std::move(name)) {}
  [[nodiscard]] std::string path() const { return folder_.path_of(name_); }
  [[nodiscard]] bool is_same(const struct stat& other) const;
  [[nodiscard]] Result<std::string> copy_device(const std::string& copy);
  [[nodiscard]] Status give_second_name(const std::string& name) const;
  [[nodiscard]] Status put_files(TpmVersion version, const SwtpmStateFiles& states,
                                 bool& begun) const;
  [[nodiscard]] Status put_on_device(std::vector<std::byte> bytes, bool& begun) const;

  Folder folder_;
  std::string name_;
  std::optional<TpmVersion> version_;
  struct stat image_ {};
  std::optional<SwtpmLock> folder_lock_;
  UniqueFd file_; ///< Of what has no folder: locked as a whole.
  std::optional<Folder> kept_in_;
  std::string kept_name_;
};

} // namespace vnvram
