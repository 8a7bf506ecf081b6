#include "cli/export_command.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <vector>

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include "backup/opened_part.h"
#include "backup/owner_source.h"
#include "backup/store_source.h"
#include "base/unique_fd.h"
#include "base/work_folder.h"
#include "cli/owner_socket.h"
#include "cli/progress.h"
#include "cli/reader.h"

namespace vnvram::cli {
namespace {

constexpr std::size_t uuid_length = 36;

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  return failed == std::errc() && end == text.data() + text.size() ? std::optional(number)
                                                                   : std::nullopt;
}

Error temporary_failure(int error_number) {
  return {ErrorKind::io,
          fmt::format("the image cannot be made among the temporary files: {}",
                      std::strerror(error_number)), // NOLINT(concurrency-mt-unsafe)
          "name another folder for them: TMPDIR"};
}

Status copy_to_output(const std::string& path, Output& output) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::vector<std::byte> bytes(std::size_t{1} << 20U);
  for (;;) {
    const ssize_t got = file.valid() ? ::read(file.get(), bytes.data(), bytes.size()) : -1;
    if (got < 0 && file.valid() && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return temporary_failure(errno);
    }
    if (got == 0) {
      return {};
    }
    output.write_bytes(std::span(bytes).first(static_cast<std::size_t>(got)));
  }
}

} // namespace

ExportCommand::ExportCommand(CLI::App& parent)
    : Command(
          parent, "export", "copy everything of one generation into a new image",
          "OUT is an image as any other: every command takes it, and a machine can be started "
          "from\n"
          "it. It has the same blobs, with the same contents, of one generation, while IMAGE is "
          "in\n"
          "use and its devices write: those wait for the last small rest only. OUT appears when "
          "it\n"
          "is complete and durable; a failure leaves what was there. With - it goes to standard\n"
          "output, and what is said of it to standard error. IMAGE is only read.\n\n"
          "--since makes an increment: a small image of what changed after an earlier export of "
          "the\n"
          "same image. It says what that was: its file, or the UUID and generation that it "
          "printed,\n"
          "as UUID:GENERATION, or the generation alone. With the file it is known at once if it "
          "does\n"
          "not fit; if not, `vnvram import` says so. An increment is sealed, so that no machine "
          "is\n"
          "started from a part of its state; `vnvram import` makes whole images of a full export\n"
          "and the increments behind it.\n\n"
          "What an export says of itself is in its blob vnvram/export. What is exported of a "
          "sealed\n"
          "image is sealed. Ends with 2 if --since names what is not an earlier state of IMAGE: "
          "then\n"
          "a full export is due.\n\n"
          "Examples:\n"
          "  vnvram export unix:/run/vm1/control full.nvram\n"
          "  vnvram export unix:/run/vm1/control monday.nvram --since full.nvram\n"
          "  vnvram export vm.nvram backup.qcow2\n"
          "  vnvram export unix:/run/vm1/control - | zstd > full.zst") {
  add_image_or_owner();
  app()
      .add_option(
          "OUT", out_,
          "the new image: a file, a VM image by its name's ending, or - for standard output; "
          "with --force a block device")
      ->required();
  app()
      .add_option("--since", since_, "only what changed after this earlier export")
      ->type_name("FILE|UUID:GENERATION|GENERATION");
  options_.add_to(app());
}

Result<std::optional<ExportBase>> ExportCommand::base() const {
  using Base = std::optional<ExportBase>;
  if (since_.empty()) {
    return Base();
  }
  if (const auto generation = parse_number(since_)) {
    return Base({.generation = *generation});
  }
  if (since_.size() > uuid_length && since_[uuid_length] == ':') {
    const auto uuid = parse_uuid(std::string_view(since_).substr(0, uuid_length));
    const auto generation = parse_number(std::string_view(since_).substr(uuid_length + 1));
    if (uuid && generation) {
      return Base({.generation = *generation, .uuid = *uuid});
    }
  }
  DeviceOptions device;
  device.image_key_file = this->device().image_key_file;
  const Result<std::unique_ptr<Store>> store = open_to_copy(since_, device, keys());
  Result<ExportManifest> manifest =
      store ? read_manifest(since_, **store) : Result<ExportManifest>(store.error());
  if (!manifest) {
    return manifest.error();
  }
  ExportBase base{.generation = manifest->generation, .uuid = manifest->uuid};
  base.manifest = *std::move(manifest);
  return Base(std::move(base));
}

Result<ExportReport> ExportCommand::export_to(ExportTarget target) {
  const Result<std::optional<ExportBase>> since = base();
  if (!since) {
    return since.error();
  }
  Progress progress("export");
  const Capture::Progress show = [&](std::uint64_t done_bytes, std::uint64_t all_bytes) {
    progress.show(done_bytes, all_bytes);
  };
  target.progress = show; // Once more, from the beginning: it is read, and then written.
  if (is_owner_socket(image())) {
    const auto owner = connect_owner(image());
    if (!owner) {
      return owner.error();
    }
    OwnerSource source(**owner);
    return export_image(source, image(), *since, target, show);
  }
  std::optional<ExportReport> report;
  const Status done = retry_while_stale([&]() -> Status {
    const auto store = open_to_copy(image(), device(), keys());
    if (!store) {
      return store.error();
    }
    StoreSource source(**store);
    Result<ExportReport> made = export_image(source, image(), *since, target, show);
    if (!made) {
      return made.error();
    }
    report = *std::move(made);
    return {};
  });
  return done ? Result<ExportReport>(*std::move(report)) : done.error();
}

// Its superblocks are written last, so that it cannot be written from front to back.
Result<ExportReport> ExportCommand::export_to_output(ExportTarget target, Output& output) {
  if (::isatty(STDOUT_FILENO) == 1) {
    return Error(ErrorKind::invalid_argument, "an image is nothing for a terminal",
                 "name a file, or send it through a pipe");
  }
  std::error_code failed;
  const auto folder =
      WorkFolder::make((std::filesystem::temp_directory_path(failed) / ".vnvram-export-").string());
  if (!folder) {
    return temporary_failure(errno);
  }
  target.path = folder->path() + "/image";
  Result<ExportReport> report = export_to(target);
  const Status copied = report ? copy_to_output(target.path, output) : Status();
  return copied ? std::move(report) : Result<ExportReport>(copied.error());
}

Result<ExitCode> ExportCommand::run(Output& output) {
  const bool key_is_of_base = !since_.empty();
  if (const Status fit = check_for_owner(); is_owner_socket(image()) && !fit && !key_is_of_base) {
    return fit.error();
  }
  const Result<ExportTarget> target = options_.target(out_);
  if (!target) {
    return target.error();
  }
  std::error_code absent; // Then they are not the same.
  if (std::filesystem::equivalent(image(), out_, absent)) {
    return Error(ErrorKind::invalid_argument, fmt::format("{}: IMAGE and OUT are the same", out_),
                 "name another file");
  }
  const Result<ExportReport> report =
      out_ == "-" ? export_to_output(*target, output) : export_to(*target);
  if (!report) {
    return report.error();
  }
  options_.show(out_, *report, output);
  return ExitCode::ok;
}

} // namespace vnvram::cli
