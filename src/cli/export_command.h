// `vnvram export`: one generation of everything, as an image.
#pragma once

#include <string>

#include "backup/export_image.h"
#include "cli/command.h"
#include "cli/export_options.h"

namespace vnvram::cli {

class ExportCommand : public Command {
public:
  explicit ExportCommand(CLI::App& parent);
  [[nodiscard]] std::string made_place() const override { return out_; }
  Result<ExitCode> run(Output& output) override;

private:
  /// What --since names.
  [[nodiscard]] Result<std::optional<ExportBase>> base() const;
  Result<ExportReport> export_to(ExportTarget target);
  Result<ExportReport> export_to_output(ExportTarget target, Output& output);

  ExportOptions options_;
  std::string out_;
  std::string since_;
};

} // namespace vnvram::cli
