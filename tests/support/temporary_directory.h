// A directory that goes away with everything in it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace vnvram::test {

/// Made below the working directory unless said otherwise, which is on the disk that is built on:
/// /tmp may be a tmpfs, where much of what is tested here is different.
class TemporaryDirectory {
public:
  explicit TemporaryDirectory(
      const std::filesystem::path& parent = std::filesystem::current_path());
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  /// The path of something in it.
  [[nodiscard]] std::string path(const std::string& name) const { return (path_ / name).string(); }
  /// Makes a file full of zeros, every block of it written, and returns its path.
  [[nodiscard]] std::string make_file(const std::string& name, std::uint64_t size_bytes) const;

private:
  std::filesystem::path path_;
};

} // namespace vnvram::test
