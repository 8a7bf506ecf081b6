// The name that a file was opened by, and whether it still leads to that file.
#pragma once

#include <cstdint>
#include <string>

#include "vnvram/result.h"

namespace vnvram {

/// What is written to a file that was removed, or whose name another file has taken, is lost with
/// the process that has it open, and whoever comes next begins with something else.
///
/// Where nothing can be told nothing is complained of: a name below /proc or /dev/fd says nothing
/// about what a later opener finds, a file system may have no lasting inode numbers, and a process
/// may have lost the right to look.
///
/// Threads: any, at the same time.
class FileName {
public:
  /// Of the file that `fd` is open on; `path` as the user gave it. A relative one is meant from the
  /// folder that is the current one now.
  FileName(int fd, std::string path);

  /// Whether anything can be told.
  [[nodiscard]] bool known() const { return has_links_; }
  /// Whether what is written to the file can be found again: by its name, or by another one that it
  /// was given. Errors: stale.
  [[nodiscard]] Status check(int fd) const;
  /// With what statx(2) has said of the file already.
  [[nodiscard]] Status check_links(std::uint32_t link_count, int fd) const;
  [[nodiscard]] Status check_name(int fd) const;
  /// Success also if another file is there. Errors: absent: it was only moved, so that what is
  /// written to it is there, and a later opener is refused by the old name.
  [[nodiscard]] Status check_not_moved() const;

private:
  [[nodiscard]] std::string where_it_is(int fd) const;

  const std::string given_;
  std::string path_; ///< Absolute; empty: the name says nothing.
  bool has_links_ = false;
  std::uint32_t device_major_ = 0;
  std::uint32_t device_minor_ = 0;
  std::uint64_t inode_ = 0;
};

} // namespace vnvram
