// `vnvram check`: reads everything and says what is damaged.
#pragma once

#include "cli/command.h"
#include "vnvram/store.h"

namespace vnvram::cli {

class CheckCommand : public Command {
public:
  explicit CheckCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  Result<CheckReport> ask_owner();
  Result<CheckReport> check();

  bool json_ = false;
};

} // namespace vnvram::cli
