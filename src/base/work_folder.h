// A folder for what is being made, that does not stay behind.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "base/folder.h"
#include "base/unique_fd.h"

namespace vnvram {

/// A new folder of this user alone; gone with the object, with the files in it. Whoever is killed
/// meanwhile leaves it behind, and the next one who makes a folder with the same prefix removes it:
/// one that is in use has a file in it that is locked, and whose name has the same six characters
/// as the folder's. A folder that was made elsewhere, and has such a name now, stays as it is.
///
/// What is made and removed by way of folder() is in this folder, also where the folder around it
/// is another user's, who may rename this one and put something else in its place.
class WorkFolder {
public:
  /// `prefix` is a path whose last part no other name begins with; six random characters follow.
  /// nullopt: errno says why.
  static std::optional<WorkFolder> make(const std::string& prefix);
  static std::optional<WorkFolder> make(const Folder& parent, const std::string& beginning);
  /// Those that were left behind, for who makes none.
  static void remove_left(const Folder& parent, const std::string& beginning);
  WorkFolder(WorkFolder&& other) noexcept;
  WorkFolder& operator=(WorkFolder&&) = delete;
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  ~WorkFolder();

  [[nodiscard]] const Folder& folder() const { return folder_; }
  /// The one that it is in.
  [[nodiscard]] const Folder& parent() const { return parent_; }
  /// For programs that know paths only, and where nobody else may write to the folder around it.
  [[nodiscard]] const std::string& path() const { return folder_.path(); }

private:
  WorkFolder(Folder parent, std::string name, Folder folder, UniqueFd lock);

  Folder parent_;
  std::string name_; ///< Empty: there is none any more.
  Folder folder_;
  UniqueFd lock_;
};

} // namespace vnvram
