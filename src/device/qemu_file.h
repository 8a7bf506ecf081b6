// The file of a VM image, as this process and QEMU's programs open it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/folder.h"
#include "base/unique_fd.h"

namespace vnvram {

/// By its path; or by its name in a folder that is open, wherever that is by then: programs are
/// started there, and need no /proc for it, nor a right to look at our descriptors.
class QemuFile {
public:
  explicit QemuFile(std::string path) : name_(std::move(path)) {}
  /// `name`: what it is called in messages. nullopt: errno says why.
  static std::optional<QemuFile> in(const Folder& folder, std::string file, std::string name);

  /// For messages.
  [[nodiscard]] const std::string& name() const { return name_; }
  /// How programs are told of it; no protocol to any of them ("nbd:...").
  [[nodiscard]] std::string for_programs() const;
  /// Where they are to be started; -1: anywhere.
  [[nodiscard]] int working_folder() const { return folder_ ? folder_->fd() : -1; }
  /// What one of them said, with the file called by name().
  [[nodiscard]] std::string renamed_in(const std::string& said) const;

  /// An invalid one: errno says why.
  [[nodiscard]] UniqueFd open(int flags) const;
  [[nodiscard]] bool is_block_device() const;
  /// Whether it is found by a path, by whoever comes later.
  [[nodiscard]] bool has_path() const { return folder_ == nullptr; }

private:
  std::string name_;
  std::string file_; ///< Its name in the folder.
  std::shared_ptr<const Folder> folder_;
};

} // namespace vnvram
