// A file that was removed, or whose name another file has, while a process of this host has it
// open.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace vnvram::cli {

/// As long as that process lives its content can be copied, and no longer.
struct LostFile {
  std::uint32_t pid = 0;
  std::string program;   ///< What the process calls itself.
  std::string copy_from; ///< /proc/PID/fd/N

  /// What has happened, and how to save it.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] nlohmann::ordered_json json() const;
};

/// The image that had this name and was opened for writing by a process whose descriptors this user
/// may see; nullopt: there is none, or none that can be seen.
std::optional<LostFile> find_lost_file(const std::string& path);

} // namespace vnvram::cli
