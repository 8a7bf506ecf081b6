// `vnvram check`: reads everything and says what is damaged.
#pragma once

#include "cli/command.h"

namespace vnvram::cli {

class CheckCommand : public Command {
public:
  explicit CheckCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  bool json_ = false;
};

} // namespace vnvram::cli
