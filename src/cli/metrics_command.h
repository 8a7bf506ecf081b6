// `vnvram metrics`: how the owner of an image stands, for Prometheus.
#pragma once

#include "cli/command.h"

namespace vnvram::cli {

class MetricsCommand : public Command {
public:
  explicit MetricsCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  std::string output_file_;
};

} // namespace vnvram::cli
