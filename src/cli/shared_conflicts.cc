#include "cli/shared_conflicts.h"

#include "device/image_format.h"
#include "device/location.h"
#include "owner/named_server.h"

namespace vnvram::cli {

// What says that the machine goes is its TPM, or whoever migrates it. QEMU has one TPM for each
// machine, so several are several machines, of which one would take the others' image along.
Status check_shared(const SharedUse& use) {
  if (use.tpm_count > 1) {
    return Error(
        ErrorKind::invalid_argument,
        "--shared with several TPMs: they are of several machines, and an image is handed "
        "over with one's state, so the others would be left behind",
        "an image for each machine; or one for each side, and a migration without --shared");
  }
  if (!use.device.image_key_file.empty()) {
    return Error(
        ErrorKind::invalid_argument,
        "--image-key with --shared: a VM image is not handed over, since nobody can look at "
        "it beside the one who has it",
        "a raw image, which `create --encrypt` makes an encrypted one");
  }
  if (const auto found = find_container(use.image, use.device);
      found && found->format != ImageFormat::raw) {
    return Error(ErrorKind::unsupported,
                 use.image + ": a VM image is not handed over with --shared, since nobody can look "
                             "at it beside the one who has it",
                 "a raw image");
  }
  if (descriptor_of(use.image)) {
    return Error(ErrorKind::invalid_argument,
                 use.image +
                     " with --shared: it is opened when its machine comes, and has to be found",
                 "name a place that this host's owner can open");
  }
  if (is_named_server(use.image)) {
    return named_server_error(use.image);
  }
  if (use.is_incoming && use.takes_over) {
    return Error(ErrorKind::invalid_argument,
                 "--take-over with --shared --incoming: what comes by a migration is handed over",
                 "leave out --incoming, if the machine is to start here");
  }
  return {};
}

} // namespace vnvram::cli
