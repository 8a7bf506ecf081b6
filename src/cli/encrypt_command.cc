#include "cli/encrypt_command.h"

#include "backup/image_copy.h"
#include "backup/opened_part.h"
#include "cli/input.h"
#include "cli/progress.h"

namespace vnvram::cli {

ConversionCommand::ConversionCommand(CLI::App& parent, const std::string& name,
                                     const std::string& summary, const std::string& examples,
                                     bool encrypts)
    : Command(parent, name, summary, examples), encrypts_(encrypts) {
  add_image();
  app().add_option("OUT", out_, "the new image, as of create; if not said, it takes IMAGE's place");
  app()
      .add_option("--out-format", out_device_.image_format,
                  "the format of OUT, as --format of create")
      ->type_name("FORMAT");
  app().add_flag("--force", force_, "write over what OUT holds");
  if (encrypts) {
    new_keys_.add_to(app());
    app().get_option("--new-key")->required();
  }
}

Result<ExitCode> ConversionCommand::run(Output& /*output*/) {
  const Result<std::vector<NewKeySlot>> slots = new_keys_.slots();
  if (!slots) {
    return slots.error();
  }
  const auto store = open_to_move(image(), device(), keys());
  if (!store) {
    return store.error();
  }
  if ((*store)->info().encrypted == encrypts_) {
    return Error(ErrorKind::invalid_argument,
                 encrypts_ ? "the image is encrypted already" : "the image is not encrypted",
                 encrypts_ ? "`key` says who can open it; `key rotate` encrypts it anew" : "");
  }
  const bool in_place = out_.empty();
  Progress progress(encrypts_ ? "encrypt" : "decrypt");
  const Status made = copy_image(
      **store, image(),
      {.path = in_place ? image() : out_,
       .device = in_place ? device() : out_device_,
       .force = force_,
       .key_slots = *slots,
       .progress = [&](std::uint64_t done, std::uint64_t all) { progress.show(done, all); }});
  progress.clear();
  if (!made) {
    return made.error();
  }
  if (encrypts_ && in_place) {
    show_note(image() + ": what the plain image was in is not overwritten: the file system may "
                        "still hold it, and so do snapshots and backups");
  }
  return ExitCode::ok;
}

EncryptCommand::EncryptCommand(CLI::App& parent)
    : ConversionCommand(
          parent, "encrypt", "make an encrypted image of a plain one",
          "The same blobs, contents and seal, in an image with a uuid of its own. The image must\n"
          "not be in use. A file is complete before it takes IMAGE's place; a cut leaves the one\n"
          "or the other.\n\n"
          "Examples:\n"
          "  vnvram encrypt vm.nvram --new-key file:/etc/vnvram/host.key --label host\n"
          "  vnvram encrypt vm.nvram /dev/vg0/vm-nvram --new-key passphrase",
          true) {}

DecryptCommand::DecryptCommand(CLI::App& parent)
    : ConversionCommand(parent, "decrypt", "make a plain image of an encrypted one",
                        "The same blobs, contents and seal, for everybody to read, in an image "
                        "with a uuid of its\n"
                        "own. The image must not be in use.\n\n"
                        "Example:\n"
                        "  vnvram decrypt vm.nvram plain.nvram --key file:/etc/vnvram/host.key",
                        false) {}

} // namespace vnvram::cli
