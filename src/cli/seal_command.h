// `vnvram seal`: an image's state goes on elsewhere.
#pragma once

#include "cli/anchor_options.h"
#include "cli/command.h"

namespace vnvram::cli {

class SealCommand : public Command {
public:
  explicit SealCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  AnchorOptions anchor_;
};

} // namespace vnvram::cli
