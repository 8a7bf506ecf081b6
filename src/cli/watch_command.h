// `vnvram watch`: what happens at the owner of an image, as it happens.
#pragma once

#include "cli/command.h"

namespace vnvram::cli {

class WatchCommand : public Command {
public:
  explicit WatchCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  bool json_ = false;
};

} // namespace vnvram::cli
