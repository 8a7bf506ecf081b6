#include "cli/erase_command.h"

#include "vnvram/key.h"

namespace vnvram::cli {

EraseCommand::EraseCommand(CLI::App& parent)
    : Command(
          parent, "erase", "make an encrypted image unreadable for good",
          "Overwrites its key slots, with random bytes and then with zeros, each flushed, and "
          "looks "
          "that they are\n"
          "gone: without them nothing of the image can be read, with whatever key. It works on a "
          "damaged image,\n"
          "too, and can be done again. The image must not be in use.\n"
          "It does not reach copies of the key slots elsewhere: in snapshots, backups and exports, "
          "on other\n"
          "replicas, and in blocks that a drive, a thin pool or a VM image has put aside. There "
          "the old keys\n"
          "still open what was copied.\n\n"
          "Example:\n"
          "  vnvram erase vm.nvram --erase-all-keys") {
  add_image_without_key();
  app().add_flag("--erase-all-keys", all_keys_, "yes, nobody is to read it again");
}

Result<ExitCode> EraseCommand::run(Output& output) {
  if (!all_keys_) {
    return Error(ErrorKind::invalid_argument,
                 "nothing was erased: after that nobody can read the image again",
                 "if that is meant, say --erase-all-keys");
  }
  const auto device = open_image(Access::read_write);
  const Status erased = device ? erase_keys(**device) : Status(device.error());
  if (!erased) {
    return erased.error();
  }
  output.write_text(
      "The key slots are erased: nothing of this image can be read any more.\n"
      "Not reached: snapshots, backups, exports and other copies of it, which their keys still\n"
      "open, and blocks that a drive, a thin pool or a VM image has put aside.\n");
  return ExitCode::ok;
}

} // namespace vnvram::cli
