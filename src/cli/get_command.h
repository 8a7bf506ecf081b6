// `vnvram get`: takes a blob's bytes out of an image.
#pragma once

#include "cli/command.h"

namespace vnvram::cli {

class GetCommand : public Command {
public:
  explicit GetCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  std::string blob_;
  std::string file_;
  bool chip_ = false;
};

} // namespace vnvram::cli
