// A folder for what is being made, that does not stay behind.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "base/unique_fd.h"

namespace vnvram {

/// A new folder of this user alone; gone with the object, with the files in it. Whoever is killed
/// meanwhile leaves it behind, and the next one who makes a folder with the same prefix removes it:
/// one that is in use has a file in it that is locked.
class WorkFolder {
public:
  /// `prefix` is a path whose last part no other name begins with; six random characters follow.
  /// nullopt: errno says why.
  static std::optional<WorkFolder> make(const std::string& prefix);
  /// Those that were left behind, for who makes none.
  static void remove_left(const std::string& prefix);
  WorkFolder(WorkFolder&& other) noexcept;
  WorkFolder& operator=(WorkFolder&&) = delete;
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  ~WorkFolder();

  [[nodiscard]] const std::string& path() const { return path_; }

private:
  WorkFolder(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_; ///< Empty: there is none any more.
  UniqueFd lock_;
};

} // namespace vnvram
