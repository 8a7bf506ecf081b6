// `vnvram can-run`: whether an image can run on this host.
#pragma once

#include "cli/command.h"

namespace vnvram::cli {

class CanRunCommand : public Command {
public:
  explicit CanRunCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  bool incoming_ = false;
  bool json_ = false;
};

} // namespace vnvram::cli
