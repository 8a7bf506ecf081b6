#include "cli/owner_text.h"

#include <fmt/core.h>

#include "cli/text.h"
#include "cli/utc_text.h"

namespace vnvram::cli {

std::string owner_text(const StoreInfo& info) {
  if (info.owner_pid == 0) {
    return "an owner that nothing is known of";
  }
  return fmt::format("process {} on {}{}", info.owner_pid,
                     info.owner_host.empty() ? "an unnamed host" : printable(info.owner_host),
                     info.owner_since_seconds == 0
                         ? ""
                         : fmt::format(" since {} UTC", utc_text(info.owner_since_seconds)));
}

} // namespace vnvram::cli
