// `vnvram takeover`: an image whose owner is gone, or silent, for whoever goes on with it.
#pragma once

#include "cli/anchor_options.h"
#include "cli/command.h"

namespace vnvram::cli {

class TakeoverCommand : public Command {
public:
  explicit TakeoverCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  AnchorOptions anchor_;
  bool owner_is_dead_ = false;
  bool json_ = false;
};

} // namespace vnvram::cli
