#include "tpm/option_conflicts.h"

#include <utility>

#include "device/location.h"
#include "owner/named_server.h"

namespace vnvram {

Error usage_error(std::string cause, std::string remedy) {
  return {ErrorKind::invalid_argument, std::move(cause), std::move(remedy)};
}

Status check_options(const Options& options) {
  if (!options.control && !options.server) {
    return usage_error("there is nothing to serve on", "give --ctrl, or --server, or both");
  }
  if (scheme_of(options.image) != LocationScheme::owner && !options.image_name.empty()) {
    return usage_error("--image-name is for an image that another process has open",
                       "an image of one's own is called by its location");
  }
  if (scheme_of(options.image) == LocationScheme::owner &&
      (options.detached || !options.image_key_file.empty() || !options.keys.empty() ||
       !options.anchor.empty() || options.take_over || options.reservation ||
       options.grow_max_bytes != 0)) {
    return usage_error(
        options.image + " is open already, in another process: there is nothing to "
                        "detach it from or to take over, no key or anchor to give, and it grows, "
                        "or is reserved, as its owner was told",
        "leave out --detached, --image-key, --key, --anchor, --take-over, --reservation and "
        "--grow");
  }
  if (options.anchor_policy && options.anchor.empty()) {
    return usage_error("--anchor-policy without --anchor");
  }
  if ((options.successors >= 0 || options.predecessor >= 0) &&
      (scheme_of(options.image) != LocationScheme::owner || options.server || options.admin ||
       !options.pid_file.empty() || options.startup != Startup::none)) {
    return usage_error("--successors and --predecessor are for the TPM of a vnvram serve");
  }
  if (options.shared &&
      (options.detached || !options.seals || options.successors >= 0 || options.predecessor >= 0 ||
       (options.incoming && (options.take_over || options.startup != Startup::none)))) {
    return usage_error("--shared is for an image that is handed over with its seal",
                       "leave out --detached, --no-seal, and with --incoming --take-over and "
                       "--startup");
  }
  if (options.shared && is_named_server(options.image)) {
    return named_server_error(options.image);
  }
  if (options.detached && !options.admin) {
    return usage_error("--detached needs --admin: nobody could attach the image");
  }
  if (options.detached && options.reservation) {
    return usage_error("--reservation is for an image that is opened at the start");
  }
  if (options.detached && options.startup != Startup::none) {
    return usage_error("--startup needs the image, which --detached does without");
  }
  return {};
}

} // namespace vnvram
