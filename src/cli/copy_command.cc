#include "cli/copy_command.h"

#include <filesystem>
#include <utility>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "backup/owner_device.h"
#include "backup/owner_source.h"
#include "base/plain_text.h"
#include "base/size_text.h"
#include "base/uuid.h"
#include "cli/copy_pace.h"
#include "cli/end_request.h"
#include "cli/owner_socket.h"
#include "cli/progress.h"

namespace vnvram::cli {

/// What there is while it goes on.
struct CopyCommand::Run {
  BlockCopyTarget target;
  EndRequest& end;
  CopyPace& pace;
};

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
  app()
      .add_option("OUT", out_,
                  "the new image: a file, a VM image by its name's ending, a block device, an NBD "
                  "export or an RBD image")
      ->required();
  app().add_option("--size", size_, "the size of OUT (K, M, G: 1024-fold)")->type_name("N");
  app()
      .add_option("--out-format", out_device_.image_format,
                  "the format of OUT, as --format of create")
      ->type_name("FORMAT");
  app()
      .add_option("--out-key", out_device_.image_key_file,
                  "the key of OUT, if it is an encrypted VM image")
      ->type_name("FILE");
  app()
      .add_option("--rate-bytes", rate_,
                  "bytes that are read in a second (K, M, G: 1024-fold); no limit unless given")
      ->type_name("N");
  app().add_flag("--force", force_, "write over what OUT holds");
  app().add_flag("--json", json_, "print JSON");
}

Status CopyCommand::check_places() const {
  std::error_code absent; // Then they are not the same.
  if (image() == out_ || std::filesystem::equivalent(image(), out_, absent)) {
    return Error(ErrorKind::invalid_argument, fmt::format("{}: IMAGE and OUT are the same", out_),
                 "name another place");
  }
  if (is_owner_socket(image()) && !device().image_key_file.empty()) {
    return Error(ErrorKind::invalid_argument, "--image-key is for who opens the image",
                 "its owner was told when it began");
  }
  return is_owner_socket(out_)
             ? Error(ErrorKind::invalid_argument,
                     fmt::format("{}: the socket of an image's owner is no place for one", out_),
                     "name a file, a block device or an export")
             : Status();
}

Result<BlockCopyReport> CopyCommand::copy_by_owner(const Run& run) {
  Result<UniqueFd> socket = connect_socket(image());
  if (!socket) {
    return socket.error();
  }
  run.end.when_stuck(hang_up(*socket));
  const auto owner = OwnerClient::connect(*std::move(socket));
  if (!owner) {
    return owner.error();
  }
  OwnerDevice device(**owner, image());
  OwnerSource holder(**owner);
  return copy_blocks({.device = device,
                      .hold =
                          [&] {
                            run.pace.hurry(true);
                            return holder.hold();
                          },
                      .let_go =
                          [&] {
                            holder.let_go();
                            run.pace.hurry(false);
                          },
                      .before_read = [&](std::size_t bytes) { return run.pace.keep(bytes); }},
                     run.target);
}

Result<BlockCopyReport> CopyCommand::copy(const Run& run) {
  const auto opened = open_image(Access::read_only);
  return opened
             ? copy_blocks({.device = **opened,
                            .before_read = [&](std::size_t bytes) { return run.pace.keep(bytes); }},
                           run.target)
             : Result<BlockCopyReport>(opened.error());
}

void CopyCommand::show(const BlockCopyReport& report, Output& output) const {
  if (json_) {
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
  output.write_text(fmt::format("{}: generation {} of image {}, {}{}\n", plain_text(out_),
                                report.generation, uuid_text(report.uuid),
                                format_size(report.image_size_bytes),
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
  if (const Status fit = check_places(); !fit) {
    return fit.error();
  }
  std::uint64_t rate_bytes = 0;
  BlockCopyTarget target{.path = out_, .device = out_device_, .force = force_, .keys = keys()};
  for (const auto& [text, number] :
       {std::pair{&size_, &target.size_bytes}, std::pair{&rate_, &rate_bytes}}) {
    const Result<std::uint64_t> parsed =
        text->empty() ? Result<std::uint64_t>(0) : parse_size(*text);
    if (!parsed) {
      return parsed.error();
    }
    *number = *parsed;
  }
  const auto end = EndRequest::expect(); // Half a copy of a TPM is cleared away.
  if (!end) {
    return end.error();
  }
  Progress progress("copy");
  CopyPace pace(rate_bytes, **end);
  target.progress = [&](const BlockCopyProgress& made) {
    progress.show(made.done_bytes, made.all_bytes);
    pace.hurry(made.hurries);
  };
  const Run run{.target = std::move(target), .end = **end, .pace = pace};
  const Result<BlockCopyReport> report = is_owner_socket(image()) ? copy_by_owner(run) : copy(run);
  progress.clear(); // Before what may have to be said.
  if (!report) {
    (*end)->obey();
    return report.error();
  }
  show(*report, output);
  return ExitCode::ok;
}

} // namespace vnvram::cli
