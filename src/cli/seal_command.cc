#include "cli/seal_command.h"

#include "vnvram/store.h"

namespace vnvram::cli {

SealCommand::SealCommand(CLI::App& parent)
    : Command(
          parent, "seal", "let nobody write to an image whose state goes on elsewhere",
          "vnvram-tpm seals its image itself when its machine has migrated away. This is for an\n"
          "image that it had to give up before (a drive of QEMU's), and for copies that must not\n"
          "run. The image must not be in use. `vnvram unseal` takes the seal off again.\n\n"
          "Example:\n"
          "  vnvram seal vm.nvram"),
      anchor_(AnchorOptions::of_work(app())) {
  add_image();
}

Result<ExitCode> SealCommand::run(Output& /*output*/) {
  auto device = open_image(Access::read_write);
  if (!device) {
    return device.error();
  }
  const Result<AnchorUse> anchor = anchor_.open();
  if (!anchor) {
    return anchor.error();
  }
  const Status sealed = seal_image(*std::move(device), {.keys = keys(), .anchor = *anchor});
  if (!sealed) {
    return sealed.error();
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
