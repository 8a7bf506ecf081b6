// `vnvram hand-over` and `vnvram go-on`: an image that two hosts see, and a machine without a TPM
// that goes from one to the other.
#pragma once

#include <string>

#include "cli/command.h"

namespace vnvram::cli {

class HandOverCommand : public Command {
public:
  explicit HandOverCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  bool json_ = false;
};

class GoOnCommand : public Command {
public:
  explicit GoOnCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  std::string from_;
};

} // namespace vnvram::cli
