// `vnvram resize`: lengthens an image.
#pragma once

#include "cli/command.h"

namespace vnvram::cli {

class ResizeCommand : public Command {
public:
  explicit ResizeCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  std::string size_;
};

} // namespace vnvram::cli
