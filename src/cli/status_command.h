// `vnvram status`: how the owner of an image stands.
#pragma once

#include "cli/command.h"

namespace vnvram::cli {

class StatusCommand : public Command {
public:
  explicit StatusCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  bool json_ = false;
};

} // namespace vnvram::cli
