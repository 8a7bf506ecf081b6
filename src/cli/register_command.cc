#include "cli/register_command.h"

#include "cli/reader.h"
#include "uefi/variable_store_template.h"

namespace vnvram::cli {

RegisterCommand::RegisterCommand(CLI::App& parent)
    : Command(
          parent, "register", "add blobs to an image, or make room for larger ones",
          "All blobs are registered together or none. A blob that is there with the same type\n"
          "is left alone; a larger MAX makes it larger. The space of every blob is reserved, so\n"
          "no later write of up to MAX bytes can fail for space. With --uefi a store that is new,\n"
          "or was never written, begins as FILE; one that was written is left alone.\n\n"
          "Examples:\n"
          "  vnvram register vm.nvram --tpm2\n"
          "  vnvram register vm.nvram --uefi /usr/share/OVMF/OVMF_VARS_4M.fd\n"
          "  vnvram register vm.nvram --blob eeprom:at24c:8K --blob bbram:xlnx-bbram:36") {
  add_image();
  add_space_option(app(), space_);
  blobs_.add_to(app(), false);
}

Result<ExitCode> RegisterCommand::run(Output& /*output*/) {
  const auto blobs = blobs_.new_blobs(false);
  if (!blobs) {
    return blobs.error();
  }
  if (blobs->empty()) {
    return Error(ErrorKind::invalid_argument, "no blob to register",
                 "name some with --tpm2, --tpm12, --uefi FILE or --blob NAME:TYPE:MAX");
  }
  const auto store = open_for_writing(image(), device(), space_);
  if (!store) {
    return store.error();
  }
  for (const NewBlob& blob : *blobs) {
    const auto there = (*store)->blob(blob.spec.name);
    const Status fits = there && blob.spec.type == uefi_variables_type
                            ? check_uefi_blob_there(*there, blob.spec)
                            : Status{};
    if (!fits) {
      return fits.error();
    }
  }
  const Status registered = (*store)->register_blobs(*blobs);
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
