// Files and folders that appear whole, and over nothing.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/folder.h"
#include "vnvram/result.h"

namespace vnvram {

struct NewFileContent {
  std::string name; ///< In its folder.
  std::vector<std::byte> bytes;
};

/// Writes the bytes beside the path, and gives the file its name when it is durable; so is the name
/// when this returns. For its owner only (0600). Errors: exists; no_space, read_only, io.
Status write_new_file(const std::string& path, std::span<const std::byte> bytes);
/// The same of a folder (0700) with these files in it.
Status write_new_folder(const std::string& path, const std::vector<NewFileContent>& files);
/// The same of files in a folder that is there, the last one last. A failure takes those away again
/// that have their names already.
Status write_new_files(const Folder& folder, const std::vector<NewFileContent>& files);
Status write_new_files(const std::string& folder, const std::vector<NewFileContent>& files);

} // namespace vnvram
