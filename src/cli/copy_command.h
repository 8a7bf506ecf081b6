// `vnvram copy`: the same image at another place.
#pragma once

#include <cstdint>
#include <string>

#include "backup/block_copy.h"
#include "cli/command.h"

namespace vnvram::cli {

class CopyCommand : public Command {
public:
  explicit CopyCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  [[nodiscard]] Status check_places() const;
  struct Run;
  Result<BlockCopyReport> copy_by_owner(const Run& run);
  Result<BlockCopyReport> copy(const Run& run);
  void show(const BlockCopyReport& report, Output& output) const;

  std::string out_;
  std::string size_;
  std::string rate_;
  DeviceOptions out_device_;
  bool force_ = false;
  bool json_ = false;
};

} // namespace vnvram::cli
