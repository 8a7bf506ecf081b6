#include "cli/accepted_anchor.h"

#include <fmt/core.h>

#include "base/operator_text.h"
#include "base/plain_text.h"
#include "cli/input.h"
#include "cli/who_and_when.h"
#include "vnvram/public_metadata.h"

namespace vnvram::cli {
namespace {

std::string what_it_said(const AnchorComparison& found) {
  if (found.unreadable) {
    return "could not be read";
  }
  return found.anchored
             ? fmt::format("said generation {} of epoch {} ({})", found.anchored->generation,
                           found.anchored->epoch_number, verdict_name(found.verdict))
             : "said nothing";
}

} // namespace

std::string acceptance_text(const AnchorComparison& found, const std::string& note) {
  return plain_text(fmt::format("{}: generation {} of epoch {}; its anchor {}{}{}", who_and_when(),
                                found.image.generation, found.image.epoch_number,
                                what_it_said(found), note.empty() ? "" : ": ", note));
}

Status keep_acceptance(BlockDevice& device, const std::string& text) {
  Status kept = set_public_metadata_locked(device, "anchor-accepted", text);
  if (kept) {
    show_note(device.name() + ": accepted at " + text);
  }
  return kept;
}

} // namespace vnvram::cli
