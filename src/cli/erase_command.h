// `vnvram erase`: makes an encrypted image unreadable for good.
#pragma once

#include "cli/command.h"

namespace vnvram::cli {

class EraseCommand : public Command {
public:
  explicit EraseCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  bool all_keys_ = false;
};

} // namespace vnvram::cli
