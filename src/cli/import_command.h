// `vnvram import`: a full export and its increments, put together again.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/export_options.h"

namespace vnvram::cli {

class ImportCommand : public Command {
public:
  explicit ImportCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  ExportOptions options_;
  DeviceOptions device_ = noted_device();
  KeyRing part_keys_;
  std::vector<std::string> parts_;
  std::string out_;
};

} // namespace vnvram::cli
