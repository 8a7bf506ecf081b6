// `vnvram register`: adds blobs to an image.
#pragma once

#include "cli/anchor_options.h"
#include "cli/blob_options.h"
#include "cli/command.h"
#include "cli/grow_option.h"

namespace vnvram::cli {

class RegisterCommand : public Command {
public:
  explicit RegisterCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  BlobOptions blobs_;
  std::string space_ = "reserve";
  AnchorOptions anchor_;
  GrowOption grow_;
};

} // namespace vnvram::cli
