// `vnvram hold` and `vnvram release`: all devices of an image at once.
#pragma once

#include "cli/command.h"

namespace vnvram::cli {

class HoldCommand : public Command {
public:
  explicit HoldCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  double seconds_ = 0;
};

class ReleaseCommand : public Command {
public:
  explicit ReleaseCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;
};

} // namespace vnvram::cli
