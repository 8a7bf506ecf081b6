#include "cli/lost_file.h"

#include <fcntl.h>

#include <charconv>
#include <filesystem>
#include <fstream>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "cli/text.h"

namespace vnvram::cli {
namespace {

namespace fs = std::filesystem;

/// What the kernel puts behind the name of a file that has it no more.
constexpr const char* gone = " (deleted)";

bool is_open_for_writing(const fs::path& process, const std::string& descriptor) {
  std::ifstream lines(process / "fdinfo" / descriptor);
  unsigned flags = 0;
  for (std::string key, value; lines >> key >> value;) {
    if (key == "flags:") {
      std::from_chars(value.data(), value.data() + value.size(), flags, 8);
    }
  }
  return (flags & O_ACCMODE) == O_RDWR;
}

/// Whether a name leads to the file of a descriptor: then it is called "... (deleted)".
bool is_named(const std::string& name, const fs::path& descriptor) {
  std::error_code error;
  return fs::equivalent(name, descriptor, error);
}

std::optional<LostFile> look_at(const fs::path& process, std::uint32_t pid,
                                const std::string& link) {
  std::error_code ignored; // Of a process that ends meanwhile, or is another user's.
  for (auto entry = fs::directory_iterator(process / "fd", ignored);
       entry != fs::directory_iterator(); entry.increment(ignored)) {
    const fs::path descriptor = entry->path();
    if (fs::read_symlink(descriptor, ignored) == link && fs::is_regular_file(descriptor, ignored) &&
        !is_named(link, descriptor) && is_open_for_writing(process, descriptor.filename())) {
      LostFile found = {pid, "", descriptor};
      std::ifstream name(process / "comm");
      std::getline(name, found.program);
      return found;
    }
  }
  return std::nullopt;
}

} // namespace

std::string LostFile::text() const {
  return fmt::format(
      "process {} ({}) has a file of this name open that was removed or replaced, and "
      "its end loses it: save it first, cp --sparse=never {} COPY",
      pid, printable(program), copy_from);
}

nlohmann::ordered_json LostFile::json() const {
  return {{"pid", pid}, {"program", program}, {"copy_from", copy_from}};
}

std::optional<LostFile> find_lost_file(const std::string& path) {
  std::error_code error;
  fs::path name = fs::absolute(path, error);
  if (fs::is_symlink(name, error)) {
    name = name.parent_path() / fs::read_symlink(name, error); // It may lead nowhere.
  }
  name = fs::weakly_canonical(name, error);
  if (error) {
    return std::nullopt;
  }
  const std::string link = name.string() + gone;
  for (auto entry = fs::directory_iterator("/proc", error); entry != fs::directory_iterator();
       entry.increment(error)) {
    const std::string number = entry->path().filename();
    std::uint32_t pid = 0;
    const auto parsed = std::from_chars(number.data(), number.data() + number.size(), pid);
    if (parsed.ec != std::errc() || parsed.ptr != number.data() + number.size()) {
      continue;
    }
    if (std::optional<LostFile> found = look_at(entry->path(), pid, link); found) {
      return found;
    }
  }
  return std::nullopt;
}

} // namespace vnvram::cli
