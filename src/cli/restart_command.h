// `vnvram restart`: another owner, and other front ends, in the place of those that run.
#pragma once

#include <sys/types.h>

#include "cli/command.h"

namespace vnvram::cli {

class RestartCommand : public Command {
public:
  explicit RestartCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  Status wait_for_another(pid_t pid) const;
  Result<ExitCode> renew_front_ends() const;

  bool all_ = false;
};

} // namespace vnvram::cli
