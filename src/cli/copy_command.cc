#include "cli/copy_command.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "backup/owner_device.h"
#include "backup/owner_source.h"
#include "base/plain_text.h"
#include "base/size_text.h"
#include "base/uuid.h"
#include "cli/owner_socket.h"

namespace vnvram::cli {

CopyCommand::CopyCommand(CLI::App& parent)
    : Command(
          parent, "copy", "make the same image at another place",
          "OUT is IMAGE, of one generation: the same UUID, blobs, contents, key slots, labels,\n"
          "seal. An encrypted image stays encrypted, with the same data key, and needs no key to\n"
          "be copied; with one (--key) all of the copy is checked before it is there, as a plain\n"
          "image's always is: what is damaged is not copied.\n\n"
          "IMAGE may be in use. By its owner's control socket (unix:PATH) any image can be "
          "copied,\n"
          "and is held at the end, for as long as it takes to read it, if it changes faster than\n"
          "it is read. OUT appears when it is complete and durable; a block device or an export\n"
          "is no image until then. What one holds is written over (--force) only after IMAGE has\n"
          "been looked over, and is found to be another storage. A held owner waits until all of\n"
          "IMAGE is read once; beyond 64 MiB until it is written to OUT, too.\n\n"
          "A VM image (qcow2, ...) is opened as QEMU does it, with QEMU's locks: while it is read\n"
          "nobody can start with it, and one in use is copied by its owner's socket alone.\n\n"
          "Only one of the two may go on: a machine that is started from both is a TPM that is\n"
          "there twice. An anchor of IMAGE is OUT's as well, until one of them goes on with it.\n"
          "`vnvram export` makes an image with a UUID and keys of its own.\n\n"
          "Examples:\n"
          "  vnvram copy vm.nvram /dev/vg0/vm-nvram\n"
          "  vnvram copy unix:/run/vm1/owner.sock copy.qcow2 --rate-bytes 10M\n"
          "  vnvram copy vm.qcow2 'nbd+unix:///vm1?socket=/run/target.sock' --json") {
  add_image_or_owner();
  copy_.add_to(app(), "the new image", "");
  copy_.add_key_to(app());
}

Result<BlockCopyReport> CopyCommand::copy_by_owner(CopyRun& run) const {
  const auto owner = run.connect(image());
  if (!owner) {
    return owner.error();
  }
  OwnerDevice device(**owner, image());
  OwnerSource holder(**owner);
  return copy_blocks({.device = device,
                      .hold =
                          [&] {
                            run.hurry(true);
                            return holder.hold();
                          },
                      .let_go =
                          [&] {
                            holder.let_go();
                            run.hurry(false);
                          },
                      .before_read = run.before_read()},
                     run.target());
}

Result<BlockCopyReport> CopyCommand::copy(CopyRun& run) const {
  const auto opened = open_image(Access::read_only);
  return opened ? copy_blocks({.device = **opened, .before_read = run.before_read()}, run.target())
                : Result<BlockCopyReport>(opened.error());
}

void CopyCommand::show(const BlockCopyReport& report, Output& output) const {
  if (copy_.json()) {
    output.write_json({{"uuid", uuid_text(report.uuid)},
                       {"generation", report.generation},
                       {"image_size_bytes", report.image_size_bytes},
                       {"encrypted", report.encrypted},
                       {"sealed", report.sealed},
                       {"checked", report.checked},
                       {"readings", report.readings},
                       {"held", report.held},
                       {"problems", report.problems},
                       {"guard_left_out", report.guard_left_out}});
    return;
  }
  output.write_text(fmt::format("{}: generation {} of image {}, {}{}\n",
                                plain_text(copy_.place_name()), report.generation,
                                uuid_text(report.uuid), format_size(report.image_size_bytes),
                                report.checked ? "" : "; encrypted, and checked without a key"));
  if (report.sealed) {
    output.write_text("note: the image is sealed: its state was handed over\n");
  }
  for (const std::string& problem : report.problems) {
    output.write_text(fmt::format("note: as in IMAGE, {}; nothing is lost by it, and `vnvram "
                                  "repair` mends it\n",
                                  plain_text(problem)));
  }
  if (report.guard_left_out) {
    output.write_text("note: IMAGE lies behind a guard block and OUT does not: an swtpm that is "
                      "given OUT would write over it\n");
  }
}

Result<ExitCode> CopyCommand::run(Output& output) {
  Status fit = copy_.check_places(image());
  if (fit && is_owner_socket(image()) && !device().image_key_file.empty()) {
    fit = Error(ErrorKind::invalid_argument, "--image-key is for who opens the image",
                "its owner was told when it began");
  }
  if (!fit) {
    return fit.error();
  }
  const auto run = CopyRun::begin(copy_, "copy");
  if (!run) {
    return run.error();
  }
  (*run)->target().keys = keys();
  (*run)->leaves(copy_.left_if_ended());
  const Result<BlockCopyReport> report =
      is_owner_socket(image()) ? copy_by_owner(**run) : copy(**run);
  (*run)->finish(report ? Status() : report.error());
  if (!report) {
    return report.error();
  }
  show(*report, output);
  return ExitCode::ok;
}

} // namespace vnvram::cli
