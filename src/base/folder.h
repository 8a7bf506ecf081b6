// A folder that is open.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/stat.h>
#include <sys/types.h>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// What is done in it is done there, wherever its path leads by then: whoever else may write to a
/// folder on that path leads nobody elsewhere. No call follows a link that is in it. Needs no
/// /proc.
class Folder {
public:
  /// What a path leads to; an empty one: the current folder. nullopt: errno says why.
  static std::optional<Folder> open(const std::string& path);
  /// The one that a file is in, or is to be in.
  static std::optional<Folder> open_for(const std::string& file_path);
  /// The same, also where its names may not be read: then names() finds none. There is no sync().
  static std::optional<Folder> enter_for(const std::string& file_path);
  /// One that is in this one.
  [[nodiscard]] std::optional<Folder> open_below(const std::string& name) const;
  /// The same one, once more.
  [[nodiscard]] std::optional<Folder> open_again() const;

  [[nodiscard]] int fd() const { return fd_.get(); }
  /// What it was opened by, for messages.
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string path_of(const std::string& name) const;

  /// An invalid one: errno says why.
  [[nodiscard]] UniqueFd open_file(const std::string& name, int flags, mode_t mode = 0) const;
  /// Of a link: the link's own. False: errno says why.
  [[nodiscard]] bool look_at(const std::string& name, struct stat& status) const;
  [[nodiscard]] std::vector<std::string> names() const;
  /// Its names are durable. `path`: whose name that is about. Errors: read_only, io.
  [[nodiscard]] Status sync(const std::string& path) const;

private:
  Folder(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  static std::optional<Folder> of(UniqueFd fd, std::string path);

  UniqueFd fd_;
  std::string path_;
};

} // namespace vnvram
