// `vnvram unseal`: the operator's word that an image's state goes on here.
#pragma once

#include "cli/anchor_options.h"
#include "cli/command.h"

namespace vnvram::cli {

class UnsealCommand : public Command {
public:
  explicit UnsealCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  /// Returns whether it was sealed.
  Result<bool> unseal();

  AnchorOptions anchor_;
};

} // namespace vnvram::cli
