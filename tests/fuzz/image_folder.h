// Where a fuzz target keeps its image.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "fuzz/require.h"
#include "vnvram/block_device.h"

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

  /// A copy of the image as a power cut would leave it now. Its owner may be at work meanwhile: who
  /// has seen a superblock reads the homes before the owner has made two more, or begins again.
  [[nodiscard]] std::string copy_of(const std::string& image) const {
    const std::string copy = path("copy");
    do {
      std::error_code failure;
      do { // libFuzzer's timer interrupts it now and then.
        std::filesystem::copy_file(image, copy, std::filesystem::copy_options::overwrite_existing,
                                   failure);
      } while (failure == std::errc::interrupted);
      require(!failure, "the image can be copied");
    } while (superblocks_of(image) != superblocks_of(copy));
    return copy;
  }

private:
  static std::string superblocks_of(const std::string& image) {
    std::string blocks(2 * block_size_bytes, '\0');
    std::ifstream(image, std::ios::binary)
        .read(blocks.data(), static_cast<std::streamsize>(blocks.size()));
    return blocks;
  }
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
