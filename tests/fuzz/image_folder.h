// Where a fuzz target keeps its image.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "fuzz/require.h"

namespace vnvram::fuzz {

/// A folder in memory if there is one, for the whole process.
class ImageFolder {
public:
  static const ImageFolder& get() {
    static const ImageFolder folder;
    return folder;
  }
  ImageFolder(const ImageFolder&) = delete;
  ImageFolder& operator=(const ImageFolder&) = delete;
  [[nodiscard]] std::string path(const char* name) const { return (path_ / name).string(); }

private:
  ImageFolder() {
    const std::filesystem::path memory = "/dev/shm";
    std::string name =
        ((std::filesystem::is_directory(memory) ? memory : std::filesystem::current_path()) /
         "vnvram-fuzz-XXXXXX")
            .string();
    require(::mkdtemp(name.data()) != nullptr, "there is a place for an image");
    path_ = name;
  }
  ~ImageFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path path_;
};

} // namespace vnvram::fuzz
