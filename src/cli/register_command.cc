#include "cli/register_command.h"

#include "cli/owner_socket.h"
#include "cli/reader.h"
#include "uefi/variable_store_template.h"

namespace vnvram::cli {
namespace {

/// A variable store that is there keeps its size.
template <typename Blobs>
Status check_those_there(Blobs& image, const std::vector<NewBlob>& blobs) {
  for (const NewBlob& blob : blobs) {
    if (blob.spec.type != uefi_variables_type) {
      continue;
    }
    const Result<BlobInfo> there = image.blob(blob.spec.name);
    if (Status fits = there ? check_uefi_blob_there(*there, blob.spec) : Status(); !fits) {
      return fits;
    }
  }
  return {};
}

Status register_with_owner(const std::string& image, const std::vector<NewBlob>& blobs) {
  const auto client = connect_blobs(image);
  if (!client) {
    return client.error();
  }
  if (Status fit = check_those_there(**client, blobs); !fit) {
    return fit;
  }
  const auto owner = connect_owner(image);
  return owner ? (*owner)->register_blobs(blobs) : owner.error();
}

} // namespace

RegisterCommand::RegisterCommand(CLI::App& parent)
    : Command(
          parent, "register", "add blobs to an image, or make room for larger ones",
          "All blobs are registered together or none. A blob that is there with the same type\n"
          "is left alone; a larger MAX makes it larger. The space of every blob is reserved, so\n"
          "no later write of up to MAX bytes can fail for space. With --uefi a store that is new,\n"
          "or was never written, begins as FILE; one that was written is left alone. An image\n"
          "that has no room for them grows with --grow MAX.\n\n"
          "Examples:\n"
          "  vnvram register vm.nvram --tpm2\n"
          "  vnvram register vm.nvram --uefi /usr/share/OVMF/OVMF_VARS_4M.fd\n"
          "  vnvram register vm.nvram --blob eeprom:at24c:8K --blob bbram:xlnx-bbram:36"),
      anchor_(AnchorOptions::of_work(app())), grow_(app()) {
  add_image_or_owner();
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
  if (is_owner_socket(image())) {
    Status fit = check_for_owner();
    fit = fit ? check_image_is_here(image()) : fit;
    const Status registered = fit ? register_with_owner(image(), *blobs) : fit;
    return registered ? Result<ExitCode>(ExitCode::ok) : registered.error();
  }
  const auto grow_max_bytes = grow_.max_bytes();
  if (!grow_max_bytes) {
    return grow_max_bytes.error();
  }
  const auto store = open_for_writing(image(), device(), keys(), space_, anchor_, *grow_max_bytes);
  if (!store) {
    return store.error();
  }
  if (Status fit = check_those_there(**store, *blobs); !fit) {
    return fit.error();
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
