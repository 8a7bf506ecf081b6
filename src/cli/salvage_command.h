// `vnvram salvage`: gets every intact blob out of a damaged image.
#pragma once

#include <string>

#include "cli/command.h"

namespace vnvram::cli {

class SalvageCommand : public Command {
public:
  explicit SalvageCommand(CLI::App& parent);
  [[nodiscard]] std::string made_place() const override { return out_; }
  Result<ExitCode> run(Output& output) override;

private:
  std::string out_;
  std::string size_;
  DeviceOptions out_device_ = noted_device();
  NewKeyOptions new_keys_;
  bool force_ = false;
  bool unseal_ = false;
  bool json_ = false;
};

} // namespace vnvram::cli
