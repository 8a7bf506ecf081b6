// `vnvram register`: adds blobs to an image.
#pragma once

#include "cli/anchor_options.h"
#include "cli/blob_options.h"
#include "cli/command.h"

namespace vnvram::cli {

class RegisterCommand : public Command {
public:
  explicit RegisterCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  BlobOptions blobs_;
  std::string space_ = "reserve";
  AnchorOptions anchor_;
};

} // namespace vnvram::cli
