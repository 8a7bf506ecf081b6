#include "cli/unseal_command.h"

#include "base/plain_text.h"
#include "cli/input.h"
#include "cli/owner_socket.h"
#include "vnvram/store.h"

namespace vnvram::cli {
namespace {

/// As unseal_image(). Returns whether it was sealed.
Result<bool> take_seal_off(std::unique_ptr<BlockDevice> device, OpenOptions options) {
  options.accept_sealed = true;
  options.accept_hand_over = true;
  const auto store = Store::open(std::move(device), std::move(options));
  if (!store) {
    return store.error();
  }
  const bool was_sealed = (*store)->info().sealed;
  const Status unsealed = (*store)->unseal();
  const Status closed = (*store)->close();
  const Status done = unsealed ? closed : unsealed;
  return done ? Result<bool>(was_sealed) : done.error();
}

/// The same of an image that is served, and of its devices that have handed over.
Result<bool> take_back(OwnerClient& owner) {
  const Result<OwnerStatus> status = owner.status();
  const Status taken = status ? owner.take_back() : Status(status.error());
  return taken ? Result<bool>(status->image && status->image->sealed) : taken.error();
}

} // namespace

UnsealCommand::UnsealCommand(CLI::App& parent)
    : Command(
          parent, "unseal", "let an image be written to again whose state was handed over",
          "An image is sealed when its machine has migrated away, or was saved into a file:\n"
          "its state goes on there. Unseal it only if that one is not to go on: else there are\n"
          "two TPMs that are one. The image must not be in use, or be that of an owner that is\n"
          "named by its control socket; for a TPM with an image of its own that is running there "
          "is\n"
          "`vnvram tpm unseal`. Of an image that is not sealed it only says so. One that was "
          "moved\n"
          "stays sealed while the image goes on, or could, at the move's other place.\n\n"
          "Example:\n"
          "  vnvram unseal vm.nvram"),
      anchor_(AnchorOptions::of_work(app())) {
  add_image_or_owner();
}

Result<bool> UnsealCommand::unseal() {
  if (is_owner_socket(image())) {
    if (Status fit = check_for_owner(); !fit) {
      return fit.error();
    }
    const auto owner = connect_owner(image());
    return owner ? take_back(**owner) : Result<bool>(owner.error());
  }
  auto device = open_image(Access::read_write);
  if (!device) {
    return device.error();
  }
  const Result<AnchorUse> anchor = anchor_.open();
  return anchor ? take_seal_off(*std::move(device), {.keys = keys(), .anchor = *anchor})
                : Result<bool>(anchor.error());
}

Result<ExitCode> UnsealCommand::run(Output& /*output*/) {
  const Result<bool> was_sealed = unseal();
  if (!was_sealed) {
    return was_sealed.error();
  }
  if (!*was_sealed) {
    show_note(plain_text(image()) + ": it was not sealed");
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
