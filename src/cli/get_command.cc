#include "cli/get_command.h"

#include "cli/output_file.h"
#include "cli/owner_socket.h"
#include "cli/reader.h"
#include "uefi/flash_chip.h"

namespace vnvram::cli {

GetCommand::GetCommand(CLI::App& parent)
    : Command(
          parent, "get", "copy a blob to standard output or a file",
          "The bytes are those of one commit, also while the image is in use. Damaged bytes are\n"
          "never given out: that is exit code 13. FILE is complete before it appears under its\n"
          "name, and a new one can be read by its owner only.\n\n"
          "Examples:\n"
          "  vnvram get vm.nvram uefi.vars -o vars.fd\n"
          "  vnvram get vm.nvram tpm2.permanent | xxd | head") {
  add_image_or_owner();
  app().add_option("BLOB", blob_, "the blob's name")->required();
  app()
      .add_option("-o,--output", file_, "write to this file; \"-\" for standard output")
      ->type_name("FILE");
  app().add_flag("--chip", chip_,
                 "all bytes of the flash chip, with the zeros behind those that are kept");
}

Result<ExitCode> GetCommand::run(Output& output) {
  std::vector<std::byte> content;
  const auto get = [&](Result<std::vector<std::byte>> bytes, const Result<BlobInfo>& info) {
    if (!bytes || !info) {
      return Status(bytes ? info.error() : bytes.error());
    }
    content = *std::move(bytes);
    if (chip_) {
      content.resize(chip_size_bytes(*info));
    }
    return Status();
  };
  Status got;
  if (is_owner_socket(image())) {
    if (Status fit = check_for_owner(); !fit) {
      return fit.error();
    }
    const auto client = connect_blobs(image());
    got = client ? get((*client)->read_all(blob_), (*client)->blob(blob_)) : client.error();
  } else {
    got = read_image(image(), device(), keys(),
                     [&](Store& store) { return get(store.read(blob_), store.blob(blob_)); });
  }
  if (!got) {
    return got.error();
  }
  if (file_.empty() || file_ == "-") {
    output.write_bytes(std::span<const std::byte>(content));
    return ExitCode::ok;
  }
  const Status written = write_output_file(file_, content);
  if (!written) {
    return written.error();
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
