#include "cli/repair_command.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "cli/progress.h"
#include "cli/take_over_options.h"
#include "cli/text.h"
#include "keys/closed_image.h"
#include "vnvram/open_device.h"
#include "vnvram/rescue.h"

namespace vnvram::cli {
namespace {

std::string report_text(const std::string& image, const RepairReport& report, bool dry_run) {
  std::string text;
  std::size_t mended = 0;
  for (const RepairFinding& finding : report.findings) {
    text += printable(fmt::format("{}: {}", finding.place, finding.what)) + '\n';
    mended += finding.mended ? 1 : 0;
  }
  if (report.findings.empty()) {
    return text + fmt::format("{}: nothing to mend\n", image);
  }
  return text + fmt::format("{}: {} {}, {} beyond repair{}\n", image, mended,
                            dry_run ? "would be mended" : "mended", report.findings.size() - mended,
                            report.sound ? "" : "; vnvram salvage gets out what is intact");
}

nlohmann::ordered_json report_json(const RepairReport& report, bool dry_run) {
  nlohmann::ordered_json findings = nlohmann::ordered_json::array();
  for (const RepairFinding& finding : report.findings) {
    findings.push_back(
        {{"place", finding.place}, {"what", finding.what}, {"mended", finding.mended}});
  }
  return {{"sound", report.sound}, {"dry_run", dry_run}, {"findings", findings}};
}

} // namespace

RepairCommand::RepairCommand(CLI::App& parent)
    : Command(
          parent, "repair", "mend a damaged image where nothing is lost by it",
          "Writes a damaged block anew if what it held is proven by the checksum that vouches\n"
          "for it: after a flipped bit, or from its older copy and the log; and a lost copy of\n"
          "the superblock from the other one. All else stays as it is. The image must not be\n"
          "in use. Ends with 0 if the image is sound now, and with 13 if damage is left.\n\n"
          "--discard-stray does nothing but drop one commit that was on its way when the drive\n"
          "was reverted, and landed on what it was reverted to: one whole record behind a gap.\n"
          "Say it only if that is what happened.\n\n"
          "Examples:\n"
          "  vnvram repair --dry-run vm.nvram\n"
          "  vnvram repair vm.nvram && vnvram check vm.nvram") {
  add_image();
  app().add_flag("--dry-run", dry_run_, "say what would be done and write nothing");
  app().add_flag("--discard-stray", discard_stray_,
                 "drop a commit that arrived after the content was put back to a snapshot");
  add_owner_is_dead(app(), owner_is_dead_);
  app().add_flag("--json", json_, "print JSON");
}

Result<ExitCode> RepairCommand::run(Output& output) {
  const auto device = open_image(dry_run_ ? Access::read_only : Access::read_write);
  if (!device) {
    return device.error();
  }
  const bool must_be_closed = !dry_run_ && !owner_is_dead_;
  if (const Status closed = must_be_closed ? check_closed(**device) : Status(); !closed) {
    return Error(closed.error().kind(), closed.error().cause(),
                 "end it there; --owner-is-dead is your word that it writes nothing any more");
  }
  Progress progress("repair");
  const auto report =
      discard_stray_
          ? discard_stray_record(**device, dry_run_, keys())
          : repair_image(
                **device, dry_run_,
                [&](std::uint64_t done, std::uint64_t all) { progress.show(done, all); }, keys());
  progress.clear();
  if (!report) {
    return report.error();
  }
  if (json_) {
    output.write_json(report_json(*report, dry_run_));
  } else {
    output.write_text(report_text(image(), *report, dry_run_));
  }
  return report->sound ? ExitCode::ok : ExitCode::corrupt;
}

} // namespace vnvram::cli
