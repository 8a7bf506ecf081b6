#include "cli/resize_command.h"

#include "base/size_text.h"
#include "vnvram/store.h"

namespace vnvram::cli {

ResizeCommand::ResizeCommand(CLI::App& parent)
    : Command(
          parent, "resize", "lengthen an image",
          "A file is made longer; a block device must have been already, and SIZE may be left\n"
          "out to use what it has. Of the VM images qcow2 and LUKS can be made longer. An image\n"
          "cannot be made shorter. It must not be in use.\n\n"
          "Examples:\n"
          "  vnvram resize vm.nvram 8M\n"
          "  lvextend -L +4M vg0/vm-nvram && vnvram resize /dev/vg0/vm-nvram") {
  add_image();
  app().add_option("SIZE", size_, "the new size (K, M, G: 1024-fold)");
}

Result<ExitCode> ResizeCommand::run(Output& /*output*/) {
  std::uint64_t size_bytes = 0;
  if (!size_.empty()) {
    const auto parsed = parse_size(size_);
    if (!parsed) {
      return parsed.error();
    }
    size_bytes = *parsed;
  }
  const Status resized = resize_image_file(image(), size_bytes, device(), keys());
  if (!resized) {
    return resized.error();
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
