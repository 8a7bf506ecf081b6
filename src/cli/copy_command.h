// `vnvram copy`: the same image at another place.
#pragma once

#include <string>

#include "backup/block_copy.h"
#include "cli/command.h"
#include "cli/copy_options.h"
#include "cli/copy_run.h"

namespace vnvram::cli {

class CopyCommand : public Command {
public:
  explicit CopyCommand(CLI::App& parent);
  [[nodiscard]] std::string made_place() const override { return copy_.place(); }
  Result<ExitCode> run(Output& output) override;

private:
  Result<BlockCopyReport> copy_by_owner(CopyRun& run) const;
  Result<BlockCopyReport> copy(CopyRun& run) const;
  void show(const BlockCopyReport& report, Output& output) const;

  CopyOptions copy_{"OUT"};
};

} // namespace vnvram::cli
