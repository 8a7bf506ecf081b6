// `vnvram anchor`: an image beside its anchor, and the operator's word on it.
#pragma once

#include <string>

#include "cli/anchor_options.h"
#include "cli/command.h"

namespace vnvram::cli {

class AnchorCommand : public Command {
public:
  explicit AnchorCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  Result<AnchorComparison> compare(Anchor& anchor) const;
  Result<ExitCode> accept(const std::shared_ptr<Anchor>& anchor) const;

  std::string verb_;
  std::string note_;
  bool json_ = false;
  AnchorOptions anchor_;
};

} // namespace vnvram::cli
