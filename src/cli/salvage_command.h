// `vnvram salvage`: gets every intact blob out of a damaged image.
#pragma once

#include "cli/command.h"

namespace vnvram::cli {

class SalvageCommand : public Command {
public:
  explicit SalvageCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  std::string out_;
  std::string size_;
  DeviceOptions out_device_;
  NewKeyOptions new_keys_;
  bool force_ = false;
  bool unseal_ = false;
  bool json_ = false;
};

} // namespace vnvram::cli
