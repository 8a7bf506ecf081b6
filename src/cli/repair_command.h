// `vnvram repair`: mends in place what can be mended without loss.
#pragma once

#include "cli/command.h"

namespace vnvram::cli {

class RepairCommand : public Command {
public:
  explicit RepairCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  bool dry_run_ = false;
  bool discard_stray_ = false;
  bool owner_is_dead_ = false;
  bool json_ = false;
};

} // namespace vnvram::cli
