#include "cli/salvage_command.h"

#include <filesystem>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/size_text.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "vnvram/open_device.h"
#include "vnvram/rescue.h"

namespace vnvram::cli {
namespace {

bool is_newest(const SalvagedBlob& blob) {
  return blob.saved && blob.generation >= blob.newest_generation;
}

std::string age_text(const SalvagedBlob& blob) {
  if (!blob.saved) {
    return fmt::format("lost: {}", blob.why);
  }
  if (is_newest(blob)) {
    return blob.generation == 0 ? "never written"
                                : fmt::format("saved, generation {}", blob.generation);
  }
  return fmt::format("saved as of generation {}; generation {} is lost: {}", blob.generation,
                     blob.newest_generation, blob.why);
}

std::string report_text(const std::string& out, const SalvageReport& report) {
  std::string text;
  std::size_t saved = 0;
  for (const SalvagedBlob& blob : report.blobs) {
    text += printable(fmt::format("{}: {}", blob.name, age_text(blob))) + '\n';
    saved += blob.saved ? 1 : 0;
  }
  for (const std::string& note : report.notes) {
    text += printable(fmt::format("note: {}", note)) + '\n';
  }
  if (report.sealed) {
    text += "note: OUT is sealed, as IMAGE is: its state was handed over to another machine, or is "
            "in a snapshot or file\n";
  }
  return text + fmt::format("{}: {} of {} blobs saved, {}\n", out, saved, report.blobs.size(),
                            report.complete() ? "all at their newest version"
                                              : "not all at their newest version");
}

nlohmann::ordered_json report_json(const SalvageReport& report) {
  nlohmann::ordered_json blobs = nlohmann::ordered_json::array();
  for (const SalvagedBlob& blob : report.blobs) {
    blobs.push_back({{"name", blob.name},
                     {"type", blob.type},
                     {"saved", blob.saved},
                     {"newest", is_newest(blob)},
                     {"generation", blob.generation},
                     {"newest_generation", blob.newest_generation},
                     {"why", blob.why}});
  }
  return {{"complete", report.complete()},
          {"generation", report.generation},
          {"sealed", report.sealed},
          {"notes", report.notes},
          {"blobs", blobs}};
}

} // namespace

SalvageCommand::SalvageCommand(CLI::App& parent)
    : Command(
          parent, "salvage", "get every intact blob out of a damaged image into a new one",
          "Each blob comes out whole, at its newest intact version, or not at all; what is lost\n"
          "is not registered in OUT. IMAGE is only read. Ends with 0 if nothing is missing or\n"
          "old, with 13 if something is (OUT is there, and the report says what), and makes no\n"
          "OUT if no blob is intact.\n\n"
          "What is salvaged of a sealed image is sealed. Say --unseal only if the machine that "
          "its\n"
          "state was handed over to is not to go on: else there are two TPMs that are one.\n\n"
          "Examples:\n"
          "  vnvram salvage damaged.nvram rescued.nvram\n"
          "  vnvram salvage --json /dev/vg0/vm-nvram rescued.nvram | jq '.blobs[]'") {
  add_image();
  new_keys_.add_of_copy_to(app());
  app()
      .add_option("OUT", out_, "the new image: a file, or with --force a block device")
      ->required();
  app().add_option("--size", size_, "the size of OUT (K, M, G: 1024-fold)")->type_name("N");
  app()
      .add_option("--out-format", out_device_.image_format,
                  "the format of OUT, as --format of create")
      ->type_name("FORMAT");
  app()
      .add_option("--out-key", out_device_.image_key_file, "the key of OUT, if it is encrypted")
      ->type_name("FILE");
  app().add_flag("--force", force_, "write over what OUT holds");
  app().add_flag("--unseal", unseal_, "let OUT be written to, though the state was handed over");
  app().add_flag("--json", json_, "print JSON");
}

Result<ExitCode> SalvageCommand::run(Output& output) {
  SalvageOptions options;
  options.force = force_;
  options.unseal = unseal_;
  options.device = out_device_;
  options.keys = keys();
  options.decrypt = new_keys_.decrypts();
  const Result<std::vector<NewKeySlot>> slots = new_keys_.slots();
  if (!slots) {
    return slots.error();
  }
  options.key_slots = *slots;
  if (!size_.empty()) {
    const auto parsed = parse_size(size_);
    if (!parsed) {
      return parsed.error();
    }
    options.size_bytes = *parsed;
  }
  std::error_code absent; // Then they are not the same.
  if (std::filesystem::equivalent(image(), out_, absent)) {
    return Error(ErrorKind::invalid_argument, fmt::format("{}: IMAGE and OUT are the same", out_),
                 "name another file; the damaged image is the only source there is");
  }
  const auto device = open_image(Access::read_only);
  if (!device) {
    return device.error();
  }
  Progress progress("salvage");
  const auto report =
      salvage_image(**device, out_, options,
                    [&](std::uint64_t done, std::uint64_t all) { progress.show(done, all); });
  progress.clear();
  if (!report) {
    return report.error();
  }
  if (json_) {
    output.write_json(report_json(*report));
  } else {
    output.write_text(report_text(out_, *report));
  }
  return report->complete() ? ExitCode::ok : ExitCode::corrupt;
}

} // namespace vnvram::cli
