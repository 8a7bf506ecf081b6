#include "cli/can_run_command.h"

#include <chrono>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/operator_text.h"
#include "base/plain_text.h"
#include "base/uuid.h"
#include "cli/progress.h"
#include "preflight/preflight.h"
#include "soft_tpm/tpm_blobs.h"

namespace vnvram::cli {
namespace {

using Outcome = PreflightFinding::Outcome;

std::string_view outcome_name(Outcome outcome) {
  switch (outcome) {
  case Outcome::good: return "good";
  case Outcome::note: return "note";
  case Outcome::unknown: return "unknown";
  case Outcome::refusal: break;
  }
  return "refusal";
}

std::string_view outcome_mark(Outcome outcome) {
  switch (outcome) {
  case Outcome::good: return "  ";
  case Outcome::note: return "! ";
  case Outcome::unknown: return "? ";
  case Outcome::refusal: break;
  }
  return "NO";
}

std::string report_text(const std::string& location, const PreflightReport& report) {
  std::string text;
  for (const PreflightFinding& finding : report.findings) {
    const std::string said = finding.reason ? operator_text(*finding.reason) : finding.text;
    text += fmt::format("{} {:<12}{}\n", outcome_mark(finding.outcome),
                        plain_text(finding.about) + ":", plain_text(said));
  }
  return text + fmt::format("{}: {}\n", plain_text(location),
                            report.first_reason() == nullptr ? "can run here" : "cannot run here");
}

nlohmann::ordered_json finding_json(const PreflightFinding& finding) {
  nlohmann::ordered_json json{
      {"about", finding.about}, {"outcome", outcome_name(finding.outcome)}, {"text", finding.text}};
  if (finding.reason) {
    const Error said = for_operators(*finding.reason);
    json["kind"] = kind_name(said.kind());
    json["exit_code"] = static_cast<int>(exit_code(said.kind()));
    json["remedy"] = said.remedy();
  }
  return json;
}

nlohmann::ordered_json durability_json(const std::optional<MeasuredDurability>& measured) {
  using Milliseconds = std::chrono::duration<double, std::milli>;
  return measured ? nlohmann::ordered_json{{"measured", measured->what},
                                           {"count", measured->count},
                                           {"median_ms", Milliseconds(measured->median).count()},
                                           {"longest_ms", Milliseconds(measured->longest).count()},
                                           {"in_memory", measured->volatile_place}}
                  : nlohmann::ordered_json();
}

nlohmann::ordered_json image_json(const std::optional<StoreInfo>& image) {
  return image ? nlohmann::ordered_json{{"uuid", uuid_text(image->uuid)},
                                        {"format_version", image->format_version},
                                        {"generation", image->generation},
                                        {"image_size_bytes", image->image_size_bytes},
                                        {"space_free_bytes", image->space_free_bytes},
                                        {"encrypted", image->encrypted},
                                        {"sealed", image->sealed},
                                        {"clean", image->clean},
                                        {"owner_pid", image->owner_pid},
                                        {"owner_host", image->owner_host}}
               : nlohmann::ordered_json();
}

nlohmann::ordered_json report_json(const PreflightReport& report) {
  nlohmann::ordered_json findings = nlohmann::ordered_json::array();
  for (const PreflightFinding& finding : report.findings) {
    findings.push_back(finding_json(finding));
  }
  return {{"can_run", report.first_reason() == nullptr},
          {"findings", findings},
          {"image", image_json(report.image)},
          {"durability", durability_json(report.durability)},
          {"libtpms", libtpms_producer()}};
}

} // namespace

CanRunCommand::CanRunCommand(CLI::App& parent)
    : Command(
          parent, "can-run", "say whether an image can run on this host, before it is moved",
          "Looks at everything that a start would stumble over: rights and space, the format, the\n"
          "keys that are given, damage, whether somebody has the image, how fast this place makes\n"
          "things durable, and whether this host's libtpms takes the TPMs' states, which it is\n"
          "tried with on copies in memory. Not a byte of the image changes, and no lock is taken:\n"
          "it works beside an owner. A VM image (qcow2, ...) is opened with QEMU's own locks: one\n"
          "in use cannot be looked at, and who starts with it meanwhile is refused. What is\n"
          "measured for durability is a nameless file in the same folder, and of a block device\n"
          "or an export flushes alone.\n\n"
          "One line for each thing: NO in front of a reason why not, ! of what one may want to\n"
          "know, ? of what nothing here can tell. Ends with 0 if there is no reason, and else "
          "with\n"
          "the code of the first one, e.g. 17 for a TPM that a later libtpms has made.\n\n"
          "--incoming is for a migration's destination: that the image has an owner, or is "
          "sealed,\n"
          "is as it should be then.\n\n"
          "Examples:\n"
          "  vnvram can-run vm.nvram --key file:/etc/vnvram/host.key\n"
          "  vnvram can-run /dev/vg0/vm-nvram --incoming --json | jq -r '.findings[].text'\n"
          "  ssh target vnvram can-run --incoming /shared/vm.nvram && virsh migrate ...") {
  add_image();
  app().add_flag("--incoming", incoming_,
                 "for a machine that comes from elsewhere: the image may have an owner, or a seal");
  app().add_flag("--json", json_, "print JSON");
}

Result<ExitCode> CanRunCommand::run(Output& output) {
  Progress progress("can-run");
  const PreflightOptions options{
      .device = device(),
      .keys = keys(),
      .incoming = incoming_,
      .progress = [&](std::uint64_t done, std::uint64_t all) { progress.show(done, all); }};
  const PreflightReport report = Preflight(image(), options).run();
  progress.clear();
  if (json_) {
    output.write_json(report_json(report));
  } else {
    output.write_text(report_text(image(), report));
  }
  const Error* const reason = report.first_reason();
  return reason == nullptr ? ExitCode::ok : exit_code(reason->kind());
}

} // namespace vnvram::cli
