#include "cli/export_options.h"

#include <cstdio>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/plain_text.h"
#include "base/size_text.h"
#include "base/uuid.h"

namespace vnvram::cli {
namespace {

std::string report_text(const std::string& out, const ExportReport& report) {
  const ExportManifest& manifest = report.manifest;
  std::string text = fmt::format("{}: generation {} of image {}: ", plain_text(out),
                                 manifest.generation, uuid_text(manifest.uuid));
  text += manifest.since ? fmt::format("{} of {} blobs, those that changed after generation {}",
                                       report.written_count, manifest.blobs.size(), *manifest.since)
                         : fmt::format("{} blobs", manifest.blobs.size());
  return text + fmt::format(", {}\n", format_size(report.written_bytes)) +
         (manifest.sealed ? "note: the image is sealed: its state was handed over\n" : "");
}

nlohmann::ordered_json report_json(const ExportReport& report) {
  const ExportManifest& manifest = report.manifest;
  return {{"uuid", uuid_text(manifest.uuid)},
          {"generation", manifest.generation},
          {"since",
           manifest.since ? nlohmann::ordered_json(*manifest.since) : nlohmann::ordered_json()},
          {"sealed", manifest.sealed},
          {"blobs", manifest.blobs.size()},
          {"blobs_written", report.written_count},
          {"bytes_written", report.written_bytes}};
}

} // namespace

void ExportOptions::add_to(CLI::App& app) {
  app.add_option("--size", size_, "the size of OUT (K, M, G: 1024-fold)")->type_name("N");
  app.add_option("--out-format", target_.device.image_format,
                 "the format of OUT, as --format of create")
      ->type_name("FORMAT");
  app.add_option("--out-key", target_.device.image_key_file, "the key of OUT, if it is encrypted")
      ->type_name("FILE");
  new_keys_.add_of_copy_to(app);
  app.add_flag("--force", target_.force, "write over what OUT holds");
  app.add_flag("--json", json_, "print JSON");
}

Result<ExportTarget> ExportOptions::target(const std::string& out) const {
  ExportTarget target = target_;
  target.path = out;
  const Result<std::vector<NewKeySlot>> slots = new_keys_.slots();
  if (!slots) {
    return slots.error();
  }
  target.key_slots = *slots;
  target.decrypt = new_keys_.decrypts();
  if (!size_.empty()) {
    const auto parsed = parse_size(size_);
    if (!parsed) {
      return parsed.error();
    }
    target.size_bytes = *parsed;
  }
  return target;
}

void ExportOptions::show(const std::string& out, const ExportReport& report, Output& output) const {
  if (out == "-") {
    const std::string text =
        json_ ? report_json(report).dump(2) + '\n' : report_text("standard output", report);
    std::fputs(text.c_str(), stderr);
  } else if (json_) {
    output.write_json(report_json(report));
  } else {
    output.write_text(report_text(out, report));
  }
}

} // namespace vnvram::cli
