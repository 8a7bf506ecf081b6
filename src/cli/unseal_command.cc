#include "cli/unseal_command.h"

#include "vnvram/store.h"

namespace vnvram::cli {

UnsealCommand::UnsealCommand(CLI::App& parent)
    : Command(
          parent, "unseal", "let an image be written to again whose state was handed over",
          "An image is sealed when its machine has migrated away, or was saved into a file:\n"
          "its state goes on there. Unseal it only if that one is not to go on: else there are\n"
          "two TPMs that are one. The image must not be in use; for a TPM that is running there\n"
          "is `vnvram tpm unseal`. Harmless on an image that is not sealed.\n\n"
          "Example:\n"
          "  vnvram unseal vm.nvram") {
  add_image();
}

Result<ExitCode> UnsealCommand::run(Output& /*output*/) {
  auto device = open_image(Access::read_write);
  if (!device) {
    return device.error();
  }
  const Status unsealed = unseal_image(*std::move(device));
  if (!unsealed) {
    return unsealed.error();
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
