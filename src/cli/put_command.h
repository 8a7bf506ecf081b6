// `vnvram put`: puts bytes into a blob.
#pragma once

#include "cli/anchor_options.h"
#include "cli/command.h"

namespace vnvram::cli {

class PutCommand : public Command {
public:
  explicit PutCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  Result<ExitCode> put_to_owner();

  std::string blob_;
  std::string file_;
  bool force_ = false;
  std::string space_ = "reserve";
  AnchorOptions anchor_;
};

} // namespace vnvram::cli
