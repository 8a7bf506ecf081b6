// `vnvram info`: what an image says about itself.
#pragma once

#include "cli/command.h"

namespace vnvram::cli {

class InfoCommand : public Command {
public:
  explicit InfoCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  Result<ExitCode> ask_owner(Output& output);

  bool json_ = false;
};

} // namespace vnvram::cli
