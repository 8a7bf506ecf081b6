// `vnvram ls`: lists the blobs of an image.
#pragma once

#include "cli/command.h"

namespace vnvram::cli {

class LsCommand : public Command {
public:
  explicit LsCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  bool json_ = false;
};

} // namespace vnvram::cli
