#include "cli/accepted_anchor.h"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <ctime>

#include <fmt/core.h>

#include "base/operator_text.h"
#include "base/plain_text.h"
#include "cli/input.h"
#include "vnvram/public_metadata.h"

namespace vnvram::cli {
namespace {

std::string time_text() {
  const std::time_t now = std::time(nullptr);
  struct tm parts {};
  std::array<char, 32> text{};
  if (::gmtime_r(&now, &parts) == nullptr ||
      std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
    return std::to_string(now);
  }
  return text.data();
}

std::string user_text() {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 16384> buffer{};
  if (::getpwuid_r(::getuid(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return std::to_string(::getuid());
  }
  return found->pw_name;
}

std::string host_text() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "an unnamed host";
}

} // namespace

std::string acceptance_text(const AnchorComparison& found, const std::string& note) {
  const std::string anchored =
      found.anchored ? fmt::format("generation {} of epoch {}", found.anchored->generation,
                                   found.anchored->epoch_number)
                     : "nothing";
  return plain_text(fmt::format("{} by {} on {}: generation {} of epoch {}; its anchor said {} ({})"
                                "{}{}",
                                time_text(), user_text(), host_text(), found.image.generation,
                                found.image.epoch_number, anchored, verdict_name(found.verdict),
                                note.empty() ? "" : ": ", note));
}

Status keep_acceptance(BlockDevice& device, const std::string& text) {
  Status kept = set_public_metadata_locked(device, "anchor-accepted", text);
  if (kept) {
    show_note(device.name() + ": accepted at " + text);
  }
  return kept;
}

} // namespace vnvram::cli
