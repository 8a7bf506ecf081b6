#include "cli/put_command.h"

#include <optional>
#include <string>

#include "cli/image_identity.h"
#include "cli/input.h"
#include "cli/owner_socket.h"
#include "cli/reader.h"
#include "vnvram/public_metadata.h"

namespace vnvram::cli {
namespace {

/// Writes, and has what is said to everybody of a TPM go with it.
template <typename Write>
Status write_with_identity(const std::optional<ImageIdentity>& identity,
                           const Result<PublicMetadata>& there, const ImageIdentity::Change& change,
                           const Write& write) {
  const bool is_said = there || there.error().kind() != ErrorKind::unsupported; // An older owner.
  if (!identity || !is_said) {
    return write();
  }
  if (!there) {
    return there.error();
  }
  Status done = identity->remove_others(*there, change);
  done = done ? write() : done;
  return done ? identity->note(*there, change) : done;
}

} // namespace

PutCommand::PutCommand(CLI::App& parent)
    : Command(
          parent, "put", "make a file the content of a blob",
          "The blob becomes exactly the bytes of FILE, or of standard input for \"-\". They are\n"
          "read to their end first, and a FILE that is too large changes nothing. Nor does one\n"
          "that is no UEFI variable store of the blob's size for a blob of UEFI variables (of a\n"
          "whole chip's content the part that is the store is taken), or no TPM's state for a\n"
          "TPM's, unless --force. When the command ends with 0, the new content is durable; "
          "whenever it is cut off, the blob has\n"
          "either its old or its new content. What the image says to everybody of a TPM's\n"
          "endorsement keys becomes that of the new state. An image that is in use is changed by "
          "its owner's\n"
          "socket, and a blob that a device has written only by that device.\n\n"
          "Examples:\n"
          "  vnvram put vm.nvram uefi.vars OVMF_VARS_4M.fd\n"
          "  vnvram get old.nvram tpm2.permanent | vnvram put vm.nvram tpm2.permanent -"),
      anchor_(AnchorOptions::of_work(app())) {
  add_image_or_owner();
  add_space_option(app(), space_);
  app().add_option("BLOB", blob_, "the blob's name")->required();
  app().add_option("FILE", file_, "the bytes; \"-\" for standard input")->required();
  app().add_flag("--force", force_, "put the bytes in whatever they are");
}

Result<ExitCode> PutCommand::put_to_owner() {
  if (Status fit = check_for_owner(); !fit) {
    return fit.error();
  }
  const auto client = connect_blobs(image());
  if (!client) {
    return client.error();
  }
  const Result<BlobInfo> blob = (*client)->blob(blob_);
  if (!blob) {
    return blob.error();
  }
  const auto content = read_content(file_, blob->type, blob->size_max_bytes, force_);
  if (!content) {
    return content.error();
  }
  const auto owner = connect_owner(image());
  if (!owner) {
    return owner.error();
  }
  const auto change = [&](const std::string& name, const std::optional<std::string>& value) {
    return (*owner)->change_metadata(name, value);
  };
  const auto write = [&]() -> Status {
    Transaction transaction;
    transaction.write(blob_, content->bytes);
    const auto written = (*client)->commit(transaction);
    return written ? Status() : written.error();
  };
  const Status written = write_with_identity(ImageIdentity::of_blob(blob_, content->bytes),
                                             (*owner)->metadata(), change, write);
  return written ? Result<ExitCode>(ExitCode::ok) : written.error();
}

Result<ExitCode> PutCommand::run(Output& /*output*/) {
  if (is_owner_socket(image())) {
    const Status here = check_image_is_here(image());
    return here ? put_to_owner() : here.error();
  }
  // Look first, so that a wrong name or size is found before anything is written at all.
  BlobInfo blob;
  const Status looked = look_before_writing(image(), device(), keys(), [&](Store& store) -> Status {
    const auto info = store.blob(blob_);
    if (!info) {
      return info.error();
    }
    blob = *info;
    return {};
  });
  if (!looked) {
    return looked.error();
  }
  const auto content = read_content(file_, blob.type, blob.size_max_bytes, force_);
  if (!content) {
    return content.error();
  }
  const auto store = open_for_writing(image(), device(), keys(), space_, anchor_);
  if (!store) {
    return store.error();
  }
  const auto change = [&](const std::string& name, const std::optional<std::string>& value) {
    return (*store)->set_metadata(name, value);
  };
  const Status written = write_with_identity(
      ImageIdentity::of_blob(blob_, content->bytes), read_public_metadata((*store)->device()),
      change, [&] { return (*store)->write(blob_, content->bytes); });
  if (!written) {
    return written.error();
  }
  const Status closed = (*store)->close();
  if (!closed) {
    return closed.error();
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
