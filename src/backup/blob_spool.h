// Contents of blobs on their way from one image to another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "base/work_folder.h"
#include "vnvram/result.h"

namespace vnvram {

/// In a file that nobody else sees and that goes with the object, so that they take no memory; what
/// is to be encrypted stays in memory. What is in it need not survive anything.
class BlobSpool {
public:
  /// Beside what is to be made at `target`, or among the temporary files if that is no file's name.
  /// Errors, of all: those of a file that is written (io, no_space, read_only), which name
  /// `target`.
  static Result<BlobSpool> make(const std::string& target, bool in_memory);

  /// In place of what it had of that blob.
  Status put(const std::string& blob, std::span<const std::byte> content);
  void drop(const std::string& blob) { places_.erase(blob); }
  [[nodiscard]] bool has(const std::string& blob) const { return places_.contains(blob); }
  /// Of one that it has.
  [[nodiscard]] Result<std::vector<std::byte>> read(const std::string& blob) const;

private:
  struct Place {
    std::uint64_t offset_bytes = 0;
    std::uint64_t room_bytes = 0;
    std::uint64_t size_bytes = 0;
  };

  BlobSpool(std::string target, std::optional<WorkFolder> folder, UniqueFd file)
      : target_(std::move(target)), folder_(std::move(folder)), file_(std::move(file)) {}

  std::string target_;
  std::optional<WorkFolder> folder_;
  UniqueFd file_;
  std::map<std::string, Place> places_;
  std::uint64_t end_bytes_ = 0;
};

} // namespace vnvram
