// `vnvram rm`: forgets a blob.
#pragma once

#include "cli/anchor_options.h"
#include "cli/command.h"

namespace vnvram::cli {

class RmCommand : public Command {
public:
  explicit RmCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  std::string blob_;
  std::string space_ = "reserve";
  AnchorOptions anchor_;
};

} // namespace vnvram::cli
