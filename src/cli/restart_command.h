// `vnvram restart`: another owner in the place of the one that runs.
#pragma once

#include <sys/types.h>

#include "cli/command.h"

namespace vnvram::cli {

class RestartCommand : public Command {
public:
  explicit RestartCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  Result<ExitCode> wait_for_another(pid_t pid) const;
};

} // namespace vnvram::cli
