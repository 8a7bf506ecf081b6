#include "cli/unseal_command.h"

#include "cli/owner_socket.h"
#include "vnvram/store.h"

namespace vnvram::cli {

UnsealCommand::UnsealCommand(CLI::App& parent)
    : Command(
          parent, "unseal", "let an image be written to again whose state was handed over",
          "An image is sealed when its machine has migrated away, or was saved into a file:\n"
          "its state goes on there. Unseal it only if that one is not to go on: else there are\n"
          "two TPMs that are one. The image must not be in use, or be that of an owner that is\n"
          "named by its control socket; for a TPM with an image of its own that is running there "
          "is\n"
          "`vnvram tpm unseal`. Harmless on an image that is not sealed. One that was moved stays\n"
          "sealed while the image goes on, or could, at the move's other place.\n\n"
          "Example:\n"
          "  vnvram unseal vm.nvram"),
      anchor_(AnchorOptions::of_work(app())) {
  add_image_or_owner();
}

Result<ExitCode> UnsealCommand::run(Output& /*output*/) {
  if (is_owner_socket(image())) {
    if (Status fit = check_for_owner(); !fit) {
      return fit.error();
    }
    const auto owner = connect_owner(image());
    const Status taken = owner ? (*owner)->take_back() : Status(owner.error());
    return taken ? Result<ExitCode>(ExitCode::ok) : taken.error();
  }
  auto device = open_image(Access::read_write);
  if (!device) {
    return device.error();
  }
  const Result<AnchorUse> anchor = anchor_.open();
  if (!anchor) {
    return anchor.error();
  }
  const Status unsealed = unseal_image(*std::move(device), {.keys = keys(), .anchor = *anchor});
  if (!unsealed) {
    return unsealed.error();
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
