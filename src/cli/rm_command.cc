#include "cli/rm_command.h"

#include "cli/owner_socket.h"
#include "cli/reader.h"

namespace vnvram::cli {

RmCommand::RmCommand(CLI::App& parent)
    : Command(parent, "rm", "forget a blob and free its space",
              "The bytes are gone for good when it ends.\n\n"
              "Example:\n"
              "  vnvram rm vm.nvram eeprom"),
      anchor_(AnchorOptions::of_work(app())) {
  add_image_or_owner();
  add_space_option(app(), space_);
  app().add_option("BLOB", blob_, "the blob's name")->required();
}

Result<ExitCode> RmCommand::run(Output& /*output*/) {
  if (is_owner_socket(image())) {
    Status fit = check_for_owner();
    fit = fit ? check_image_is_here(image()) : fit;
    if (!fit) {
      return fit.error();
    }
    const auto owner = connect_owner(image());
    const Status removed = owner ? (*owner)->remove(blob_) : owner.error();
    return removed ? Result<ExitCode>(ExitCode::ok) : removed.error();
  }
  const Status there = look_before_writing(image(), device(), keys(), [&](Store& store) -> Status {
    const auto info = store.blob(blob_);
    return info ? Status() : Status(info.error());
  });
  if (!there) {
    return there.error();
  }
  const auto store = open_for_writing(image(), device(), keys(), space_, anchor_);
  if (!store) {
    return store.error();
  }
  const Status removed = (*store)->remove_blob(blob_);
  if (!removed) {
    return removed.error();
  }
  const Status closed = (*store)->close();
  if (!closed) {
    return closed.error();
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
