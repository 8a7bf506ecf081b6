#include "cli/dump_command.h"

#include <nlohmann/json.hpp>

#include "cli/dump_text.h"
#include "cli/reader.h"

namespace vnvram::cli {

DumpCommand::DumpCommand(CLI::App& parent)
    : Command(
          parent, "dump", "print superblocks, ring records, table and directory",
          "For looking into an image, whole or damaged. Nothing is written, and each part says\n"
          "whether it is valid and why not. Blob content is not shown. Ends with 0 also when\n"
          "parts are not valid: `vnvram check` is the one that judges.\n\n"
          "Examples:\n"
          "  vnvram dump vm.nvram | less\n"
          "  vnvram dump --json vm.nvram | jq '.records[] | select(.counts)'") {
  add_image();
  app().add_flag("--json", json_, "print JSON");
}

Result<ExitCode> DumpCommand::run(Output& output) {
  ImageDump dump;
  const Status status = retry_while_stale([&]() -> Status {
    const auto device = open_image(Access::read_only);
    if (!device) {
      return device.error();
    }
    auto dumped = dump_image(**device, keys());
    if (!dumped) {
      return dumped.error();
    }
    dump = std::move(*dumped);
    return {};
  });
  if (!status) {
    return status.error();
  }
  if (json_) {
    output.write_json(dump_json(dump));
  } else {
    output.write_text(dump_text(dump));
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
