#include "cli/check_command.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "cli/owner_socket.h"
#include "cli/progress.h"
#include "cli/reader.h"
#include "cli/text.h"

namespace vnvram::cli {
namespace {

std::string hit_text(const CheckProblem& problem) {
  if (problem.blobs.empty()) {
    return problem.data_lost ? "" : "; nothing depends on it";
  }
  std::string hit = problem.data_lost ? "; blobs hit: " : "; nothing is lost of ";
  for (const std::string& blob : problem.blobs) {
    hit += (&blob == &problem.blobs.front() ? "" : ", ") + blob;
  }
  return hit;
}

std::string blob_text(const CheckedBlob& blob) {
  return fmt::format("{}: {}, {} bytes, {}\n", printable(blob.name),
                     blob.intact ? "intact" : "DAMAGED", blob.size_bytes,
                     blob.generation == 0 ? "never written"
                                          : fmt::format("generation {}", blob.generation));
}

std::string report_text(const std::string& image, const CheckReport& report) {
  std::string text;
  for (const CheckedBlob& blob : report.blobs) {
    text += blob_text(blob);
  }
  for (const CheckProblem& problem : report.problems) {
    text += printable(fmt::format("{}: {}{}", problem.place, problem.what, hit_text(problem)));
    text += '\n';
  }
  for (const std::string& note : report.notes) {
    text += printable(fmt::format("note: {}", note)) + '\n';
  }
  text += fmt::format("{}: {}; generation {}, {} blobs, {} pages, {} ring records checked\n", image,
                      report.clean() ? std::string("no damage")
                                     : fmt::format("{} problem(s)", report.problems.size()),
                      report.generation, report.blobs_checked, report.pages_checked,
                      report.records_checked);
  return text;
}

nlohmann::ordered_json report_json(const CheckReport& report) {
  nlohmann::ordered_json problems = nlohmann::ordered_json::array();
  for (const CheckProblem& problem : report.problems) {
    problems.push_back({{"place", problem.place},
                        {"what", problem.what},
                        {"blobs", problem.blobs},
                        {"data_lost", problem.data_lost}});
  }
  nlohmann::ordered_json blobs = nlohmann::ordered_json::array();
  for (const CheckedBlob& blob : report.blobs) {
    blobs.push_back({{"name", blob.name},
                     {"intact", blob.intact},
                     {"generation", blob.generation},
                     {"size_bytes", blob.size_bytes}});
  }
  return {{"clean", report.clean()},
          {"blobs", blobs},
          {"notes", report.notes},
          {"generation", report.generation},
          {"blobs_checked", report.blobs_checked},
          {"pages_checked", report.pages_checked},
          {"records_checked", report.records_checked},
          {"problems", problems}};
}

} // namespace

CheckCommand::CheckCommand(CLI::App& parent)
    : Command(
          parent, "check", "read all of an image and say what is damaged",
          "Compares every checksum and writes nothing. One line for each blob, and one for each\n"
          "problem: where, what, and the blobs whose bytes are hit. Ends with 0 if there is none "
          "and with 13 if there\n"
          "is one, also when only a copy is lost that nothing depends on.\n"
          "An owner is asked by unix:PATH, and looks at all of its image beside the changes that\n"
          "go on; they wait for it only if they are too many. What it has in memory is not asked:\n"
          "it is what the image would be if the machine stopped now.\n\n"
          "Examples:\n"
          "  vnvram check vm.nvram\n"
          "  vnvram check --json vm.nvram | jq -r '.problems[].blobs[]'") {
  add_image_or_owner();
  app().add_flag("--json", json_, "print JSON");
}

Result<CheckReport> CheckCommand::ask_owner() {
  if (const Status fit = check_for_owner(); !fit) {
    return fit.error();
  }
  const auto owner = connect_owner(image());
  return owner ? (*owner)->check() : Result<CheckReport>(owner.error());
}

Result<CheckReport> CheckCommand::check() {
  CheckReport report;
  const Status checked = retry_while_stale([&]() -> Status {
    const auto device = open_image(Access::read_only);
    if (!device) {
      return device.error();
    }
    Progress progress("check");
    auto result = check_image(
        **device,
        [&](std::uint64_t done_bytes, std::uint64_t all_bytes) {
          progress.show(done_bytes, all_bytes);
        },
        keys());
    if (!result) {
      return result.error();
    }
    report = std::move(*result);
    return {};
  });
  return checked ? Result<CheckReport>(std::move(report)) : checked.error();
}

Result<ExitCode> CheckCommand::run(Output& output) {
  const Result<CheckReport> report = is_owner_socket(image()) ? ask_owner() : check();
  if (!report) {
    return report.error();
  }
  if (json_) {
    output.write_json(report_json(*report));
  } else {
    output.write_text(report_text(image(), *report));
  }
  return report->clean() ? ExitCode::ok : ExitCode::corrupt;
}

} // namespace vnvram::cli
