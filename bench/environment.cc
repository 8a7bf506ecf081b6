#include "bench/environment.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>

#include <fmt/core.h>

namespace vnvram::bench {
namespace {

std::string find_cpu() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) {
      return line.substr(line.find(':') + 2);
    }
  }
  return "unknown CPU";
}

/// The line of mountinfo with the directory's device number: its fields behind " - " are the type
/// and the source.
std::string find_file_system(const std::string& directory) {
  struct stat status = {};
  if (::stat(directory.c_str(), &status) != 0) {
    return "unknown";
  }
  const std::string device = fmt::format("{}:{}", major(status.st_dev), minor(status.st_dev));
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string id;
    std::string parent;
    std::string number;
    fields >> id >> parent >> number;
    const std::size_t separator = line.find(" - ");
    if (number == device && separator != std::string::npos) {
      std::istringstream rest(line.substr(separator + 3));
      std::string type;
      std::string source;
      rest >> type >> source;
      return fmt::format("{} on {}", type, source);
    }
  }
  return "unknown";
}

} // namespace

Environment find_environment(const std::string& directory) {
  struct utsname system = {};
  ::uname(&system);
  const std::string_view sanitizers(VNVRAM_BUILD_SANITIZERS);
  Environment environment;
  environment.cpu = find_cpu();
  environment.cpu_count = std::thread::hardware_concurrency();
  environment.kernel = fmt::format("{} {}", system.sysname, system.release);
  environment.file_system = find_file_system(directory);
  environment.build_type = VNVRAM_BUILD_TYPE;
  if (!sanitizers.empty()) {
    environment.build_type += fmt::format(" with sanitizers {}", sanitizers);
  }
  environment.optimised = environment.build_type == "Release";
  return environment;
}

} // namespace vnvram::bench
