// Where the numbers come from: without it they mean nothing.
#pragma once

#include <string>

namespace vnvram::bench {

struct Environment {
  std::string cpu;
  unsigned cpu_count = 0;
  std::string kernel;
  std::string file_system; ///< Of the directory that is measured in, e.g. "ext4 on /dev/vda".
  std::string build_type;
  bool optimised = false; ///< False: the times of this build say nothing.
};

[[nodiscard]] Environment find_environment(const std::string& directory);

} // namespace vnvram::bench
