// `vnvram dump`: what an image's own structures say.
#pragma once

#include "cli/command.h"

namespace vnvram::cli {

class DumpCommand : public Command {
public:
  explicit DumpCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  bool json_ = false;
};

} // namespace vnvram::cli
