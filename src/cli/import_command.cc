#include "cli/import_command.h"

#include <algorithm>
#include <filesystem>

#include <fmt/core.h>

#include "backup/import_chain.h"
#include "cli/progress.h"

namespace vnvram::cli {

ImportCommand::ImportCommand(CLI::App& parent)
    : Command(
          parent, "import", "make an image of a full export and the increments behind it",
          "FULL is what `vnvram export` made without --since, each INCREMENT what it made with "
          "it,\n"
          "in the order in which they were made. OUT is what a full export would have been when "
          "the\n"
          "last of them was made: an image that a machine can be started from, and that later\n"
          "increments go on from. OUT appears when it is complete and durable; a failure leaves\n"
          "what was there. The parts are only read.\n\n"
          "Every byte is compared with what the exports say of it. Ends with 2 if the parts do "
          "not\n"
          "belong together: a gap, another order, another image; with 13 if one is damaged, is "
          "not\n"
          "what it was when it was made, or was made after an older state of the image was put "
          "back.\n\n"
          "Examples:\n"
          "  vnvram import full.nvram monday.nvram tuesday.nvram -o vm.nvram\n"
          "  vnvram import full.nvram -o vm.qcow2") {
  app()
      .add_option("EXPORT", parts_,
                  "FULL, and each INCREMENT, in the order in which they were made")
      ->required();
  app()
      .add_option("-o,--out", out_, "the new image: a file, or with --force a block device")
      ->required()
      ->type_name("OUT");
  app()
      .add_option("--image-key", device_.image_key_file,
                  "all bytes of this file are the key of exports that are encrypted")
      ->type_name("FILE");
  add_keys(app(), part_keys_);
  options_.add_to(app());
}

Result<ExitCode> ImportCommand::run(Output& output) {
  Result<ExportTarget> target = options_.target(out_);
  if (!target) {
    return target.error();
  }
  for (const std::string& part : parts_) {
    std::error_code absent; // Then they are not the same.
    if (std::filesystem::equivalent(part, out_, absent)) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("{}: OUT is one of the exports as well", out_), "name another file");
    }
  }
  Progress progress("import");
  target->progress = [&](std::uint64_t done_bytes, std::uint64_t all_bytes) {
    progress.show(done_bytes, all_bytes);
  };
  const Result<ExportReport> report = import_chain(parts_, device_, part_keys_, *target);
  progress.clear(); // Before what may have to be said.
  if (!report) {
    return report.error();
  }
  options_.show(out_, *report, output);
  return ExitCode::ok;
}

} // namespace vnvram::cli
