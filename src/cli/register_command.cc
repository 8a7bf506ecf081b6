#include "cli/register_command.h"

#include "cli/reader.h"

namespace vnvram::cli {

RegisterCommand::RegisterCommand(CLI::App& parent)
    : Command(
          parent, "register", "add blobs to an image, or make room for larger ones",
          "All blobs are registered together or none. A blob that is there with the same type\n"
          "is left alone; a larger MAX makes it larger. The space of every blob is reserved, so\n"
          "no later write of up to MAX bytes can fail for space.\n\n"
          "Examples:\n"
          "  vnvram register vm.nvram --tpm2\n"
          "  vnvram register vm.nvram --blob eeprom:at24c:8K --blob vars:uefi-vars:528K") {
  add_image();
  blobs_.add_to(app(), false);
}

Result<ExitCode> RegisterCommand::run(Output& /*output*/) {
  const auto specs = blobs_.specs();
  if (!specs) {
    return specs.error();
  }
  if (specs->empty()) {
    return Error(ErrorKind::invalid_argument, "no blob to register",
                 "name some with --tpm2, --tpm12 or --blob NAME:TYPE:MAX");
  }
  const auto store = open_for_writing(image(), device());
  if (!store) {
    return store.error();
  }
  const Status registered = (*store)->register_blobs(*specs);
  if (!registered) {
    return registered.error();
  }
  const Status closed = (*store)->close();
  if (!closed) {
    return closed.error();
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
